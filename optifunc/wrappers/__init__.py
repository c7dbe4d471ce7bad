"""Transformations that hold others, one file per idea."""

import typing as _typing

from .._public import offered as _offered

if _typing.TYPE_CHECKING:
    from ._accumulate import (
        AccumulationState as AccumulationState,
        accumulate_gradients as accumulate_gradients,
    )
    from ._cautious import CautiousState as CautiousState, cautious as cautious
    from ._chain import chain as chain
    from ._conditionally import (
        ConditionalState as ConditionalState,
        conditionally as conditionally,
    )
    from ._convert_state import convert_state as convert_state
    from ._dynamic_loss_scale import (
        DynamicLossScaleState as DynamicLossScaleState,
        dynamic_loss_scale as dynamic_loss_scale,
        scale_loss as scale_loss,
    )
    from ._flatten import FlattenState as FlattenState, flatten as flatten
    from ._grams import GramsState as GramsState, grams as grams
    from ._kahan import KahanState as KahanState, kahan as kahan
    from ._labels import label_matrices as label_matrices
    from ._layerwise_decay import (
        layerwise_decay as layerwise_decay,
        scale_by_depth as scale_by_depth,
    )
    from ._look_sam import LookSamState as LookSamState, look_sam as look_sam
    from ._lookahead import LookaheadState as LookaheadState, lookahead as lookahead
    from ._masked import (
        EmptyMaskWarning as EmptyMaskWarning,
        MaskedState as MaskedState,
        masked as masked,
    )
    from ._master_weights import (
        MasterWeightsState as MasterWeightsState,
        master_weights as master_weights,
    )
    from ._mechanize import MechanizeState as MechanizeState, mechanize as mechanize
    from ._monitor import MonitorState as MonitorState, monitor as monitor
    from ._partition import partition as partition
    from ._quantized import quantized as quantized
    from ._sam import (
        SamInTurnsState as SamInTurnsState,
        SamState as SamState,
        sam as sam,
        sam_in_turns as sam_in_turns,
    )
    from ._schedule_free import (
        ScheduleFreeState as ScheduleFreeState,
        schedule_free as schedule_free,
    )
    from ._scheduled import (
        ScheduledState as ScheduledState,
        as_transformation as as_transformation,
        scheduled as scheduled,
    )
    from ._skip_large import (
        SkipLargeState as SkipLargeState,
        SkipOutliersState as SkipOutliersState,
        skip_large_updates as skip_large_updates,
        skip_outliers as skip_outliers,
    )
    from ._skip_not_finite import (
        SkipNotFiniteState as SkipNotFiniteState,
        skip_not_finite as skip_not_finite,
    )
    from ._split_weights import (
        SplitWeightsState as SplitWeightsState,
        split_weights as split_weights,
    )
    from ._state_dtype import state_dtype as state_dtype
    from ._stochastic_rounding import (
        StochasticRoundingState as StochasticRoundingState,
        stochastic_rounding as stochastic_rounding,
    )
    from ._wrapper import Wrapper as Wrapper
else:
    __all__, __dir__, __getattr__ = _offered(__name__)
