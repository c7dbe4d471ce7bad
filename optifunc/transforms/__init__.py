"""Building blocks that hold no other transformation, one file per idea."""

import typing as _typing

from .._public import offered as _offered

if _typing.TYPE_CHECKING:
    from ._averaging import (
        AverageState as AverageState,
        EmaParametersState as EmaParametersState,
        average_parameters as average_parameters,
        ema_parameters as ema_parameters,
        periodic_update as periodic_update,
        update_ema as update_ema,
    )
    from ._backtracking import (
        BacktrackingLinesearchInfo as BacktrackingLinesearchInfo,
        ScaleByBacktrackingLinesearchState as ScaleByBacktrackingLinesearchState,
        scale_by_backtracking_linesearch as scale_by_backtracking_linesearch,
    )
    from ._centralize import centralize as centralize
    from ._clipping import (
        adaptive_grad_clip as adaptive_grad_clip,
        clip as clip,
        clip_by_block_rms as clip_by_block_rms,
        clip_by_global_norm as clip_by_global_norm,
    )
    from ._ema import EmaState as EmaState, ema as ema
    from ._grokfast import (
        GrokfastEmaState as GrokfastEmaState,
        GrokfastMaState as GrokfastMaState,
        grokfast_ema as grokfast_ema,
        grokfast_ma as grokfast_ma,
    )
    from ._lawa import (
        LawaParametersState as LawaParametersState,
        lawa_parameters as lawa_parameters,
    )
    from ._line import value_and_grad_from_state as value_and_grad_from_state
    from ._momentum import MomentumState as MomentumState, momentum as momentum
    from ._noise import NoiseState as NoiseState, add_noise as add_noise
    from ._nonnegative import keep_params_nonnegative as keep_params_nonnegative
    from ._normalization import (
        normalize_by_update_norm as normalize_by_update_norm,
        scale_by_param_block_norm as scale_by_param_block_norm,
        scale_by_param_block_rms as scale_by_param_block_rms,
    )
    from ._orthograd import orthograd as orthograd
    from ._plateau import (
        ReduceOnPlateauState as ReduceOnPlateauState,
        reduce_on_plateau as reduce_on_plateau,
    )
    from ._private_noise import (
        clip_per_example as clip_per_example,
        privatize as privatize,
    )
    from ._project import project as project
    from ._qk_clip import qk_clip as qk_clip
    from ._scaling import (
        negate as negate,
        scale as scale,
        scale_by_learning_rate as scale_by_learning_rate,
        scale_by_sign as scale_by_sign,
        set_to_zero as set_to_zero,
    )
    from ._snapshot import SnapshotState as SnapshotState, snapshot as snapshot
    from ._trust_ratio import scale_by_trust_ratio as scale_by_trust_ratio
    from ._weight_decay import add_decayed_weights as add_decayed_weights
    from ._zero_nans import zero_nans as zero_nans
    from ._zoom import (
        ScaleByZoomLinesearchState as ScaleByZoomLinesearchState,
        ZoomLinesearchInfo as ZoomLinesearchInfo,
        scale_by_zoom_linesearch as scale_by_zoom_linesearch,
    )
else:
    __all__, __dir__, __getattr__ = _offered(__name__)
