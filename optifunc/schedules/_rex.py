"""REX: a decay that is slow at first and fast at its end."""

from __future__ import annotations

from typing import Any

from jax import Array

from .._numerics import Scalar, as_scalar
from ._arguments import Count
from ._base import Schedule, as_step, schedule
from ._curves import fractions
from ._warmup import check_warmup, steps_of_decay, warmed_up


@schedule
class rex(Schedule):
    """Decay slowly at first and fast at the end, after a warmup: REX.

    ::

        value(t) = initial_value + (base - initial_value) * t / warmup_steps
                                                           for t < warmup_steps
                 = end_value + (base - end_value) * (1 - p) / (1 - p / 2)

    with ``p = (t - warmup_steps) / (total_steps - warmup_steps)``, at most 1.

    **Arguments:**

    - ``base``: the value at the peak.
    - ``total_steps``: the length of warmup and decay together, an integer.
    - ``warmup_steps``: the length of the warmup, an integer.
    - ``initial_value``: the value at step 0 of a warmup.
    - ``end_value``: the value from ``total_steps`` on.

    **Raises:** `ValueError` unless ``0 <= warmup_steps < total_steps``, `TypeError` if
    one of them is not an integer.

    **Source:** Chen, Wolfe and Kyrillidis (2021), "REX: revisiting budgeted training
    with an improved schedule", arXiv:2107.04197.
    """

    base: Scalar
    total_steps: Count
    warmup_steps: Count = 0
    initial_value: Scalar = 0.0
    end_value: Scalar = 0.0

    def __post_init__(self) -> None:
        check_warmup(self)

    def __call__(self, step: Any) -> Array:
        t = as_step(step)
        left, done = fractions(*steps_of_decay(t, self.warmup_steps, self.total_steps))
        # 1 - (1 - p) / (1 - p / 2) is (p / 2) / (1 - p / 2), without cancellation.
        whole = 1 - 0.5 * done
        value = (
            as_scalar(self.base) * left + as_scalar(self.end_value) * (0.5 * done)
        ) / whole
        return warmed_up(value, self.base, self.initial_value, self.warmup_steps, t)
