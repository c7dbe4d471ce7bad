"""Schedules: hyperparameters as pure functions of the number of updates done."""

import typing as _typing

from .._public import offered as _offered

if _typing.TYPE_CHECKING:
    from ._base import (
        MultiplicativeSchedule as MultiplicativeSchedule,
        Schedule as Schedule,
        schedule as schedule,
    )
    from ._constant import constant as constant
    from ._cosine import (
        cosine_annealing as cosine_annealing,
        cosine_annealing_warm_restarts as cosine_annealing_warm_restarts,
    )
    from ._cycles import (
        cooldown as cooldown,
        repeated as repeated,
        sgdr as sgdr,
    )
    from ._cyclic import cyclic as cyclic
    from ._decay import (
        exponential as exponential,
        linear as linear,
        multi_step as multi_step,
        polynomial as polynomial,
        step as step,
    )
    from ._ema_decay import (
        ema_decay_warmup as ema_decay_warmup,
        ema_half_life as ema_half_life,
        polynomial_ema_decay as polynomial_ema_decay,
        power_ema_decay as power_ema_decay,
    )
    from ._from_to import from_to as from_to
    from ._function import (
        from_function as from_function,
        lambda_ as lambda_,
        multiplicative as multiplicative,
    )
    from ._inverse import inverse_decay as inverse_decay, power as power
    from ._joining import chained as chained, sequential as sequential
    from ._one_cycle import (
        one_cycle as one_cycle,
        one_cycle_momentum as one_cycle_momentum,
    )
    from ._piecewise import (
        piecewise_constant as piecewise_constant,
        piecewise_interpolated as piecewise_interpolated,
    )
    from ._plot import plot as plot
    from ._rex import rex as rex
    from ._warmup import (
        inverse_square_root as inverse_square_root,
        warmup_cosine as warmup_cosine,
        warmup_linear as warmup_linear,
        warmup_stable_decay as warmup_stable_decay,
    )
else:
    __all__, __dir__, __getattr__ = _offered(__name__)
