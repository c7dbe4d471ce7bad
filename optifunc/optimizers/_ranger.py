"""Ranger."""

from __future__ import annotations

from .._hyperparameters import Hyperparameter
from .._transformation import GradientTransformation
from ..transforms._centralize import centralize
from ..wrappers._lookahead import lookahead
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory
from ._radam import scale_by_radam


@factory
def ranger(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.99),
    weight_decay: Hyperparameter = 0.0,
    eps: Hyperparameter = 1e-6,
    sync_period: Hyperparameter = 6,
    slow_step_size: Hyperparameter = 0.5,
    centralized: bool = False,
    *,
    output_axis: int = -1,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """RAdam with slow parameters that periodically follow its own.

    ::

        g = g - mean(g)                                       (centralized)
        d = RAdam's direction of g,  with eps after the correction of the root
        p = p - lr * (d + weight_decay * p)                   at every update
        s = s + slow_step_size * (p - s),  p = s              at every sync_period-th

    It is `lookahead` of `radam`; the slow parameters ``s`` start as a copy of the
    parameters, and `eval_params` returns them.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the moments, each in [0, 1).
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``eps``: added to the root.
    - ``sync_period``: the number of updates between two moves of the slow parameters.
    - ``slow_step_size``: the fraction of the distance from the slow to the fast
      parameters, in [0, 1].
    - ``centralized``: subtract the mean from the gradient of each output unit, in
      leaves with two or more axes, as in the second version of Ranger.
    - ``output_axis``: the axis of the output units, see `centralize`.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `LookaheadState` around `ScaleByRadamState`.

    **Complex parameters:** see `adam`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params`` is
    missing.

    **Source:** Wright, "Ranger - a synergistic optimizer", 2019,
    [GitHub](https://github.com/lessw2020/Ranger-Deep-Learning-Optimizer);
    defaults and rule of ``eps`` as in [optimi](https://optimi.benjaminwarner.dev).
    """
    fast = assemble(
        scale_by_radam(betas, eps, eps_after_correction=True),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
    )
    return assemble(
        *([centralize(output_axis)] if centralized else []),
        lookahead(fast, sync_period, slow_step_size),
        lr=None,
        maximize=maximize,
    )
