"""Cosine annealing (Loshchilov and Hutter, 2017)."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from .._numerics import Scalar, as_scalar
from ._arguments import Count, as_count, check_count, check_number
from ._base import Schedule, as_step, schedule
from ._curves import between


@schedule
class cosine_annealing(Schedule):
    """Down and up along a cosine: `torch.optim.lr_scheduler.CosineAnnealingLR`.

    ::

        value(t) = eta_min + (base - eta_min) * (1 + cos(pi * t / T_max)) / 2

    As in torch, the value rises again after ``T_max`` updates and returns to ``base``
    after ``2 * T_max``. `warmup_cosine` and `from_to` stay at their final value.

    **Arguments:**

    - ``base``: the largest value.
    - ``T_max``: half the period, an integer.
    - ``eta_min``: the smallest value.

    **Raises:** `ValueError` if ``T_max`` is below 1, `TypeError` if it is not an
    integer.

    **Source:** Loshchilov and Hutter (2017), "SGDR: Stochastic gradient descent with
    warm restarts", arXiv:1608.03983.
    """

    base: Scalar
    T_max: Count
    eta_min: Scalar = 0.0

    def __post_init__(self) -> None:
        check_number("base", self.base)
        check_count("T_max", self.T_max, at_least=1)
        check_number("eta_min", self.eta_min)

    def __call__(self, step: Any) -> Array:
        return self._between(self.base, self.eta_min, as_step(step))

    def multiplier(self, step: Array) -> Array:
        """The factor of ``base`` if ``eta_min`` is 0.

        **Arguments:**

        - ``step``: an integer scalar.
        """
        return self._between(1.0, 0.0, step)

    def _between(self, top: Scalar, bottom: Scalar, step: Array) -> Array:
        half = as_count(self.T_max)
        left = jnp.abs(half - step % (2 * half))
        return between(top, bottom, half - left, left, "cosine")


@schedule
class cosine_annealing_warm_restarts(Schedule):
    """Repeated decay along a cosine, with longer and longer cycles.

    It is `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`::

        value(t) = eta_min + (base - eta_min) * (1 + cos(pi * T_cur / T_i)) / 2

    ``T_cur`` is the number of updates since the last restart, and cycle ``i`` (from 0)
    is ``T_i = T_0 * T_mult**i`` updates long (which must fit into JAX's default
    integer).

    **Arguments:**

    - ``base``: the value at a restart.
    - ``T_0``: the length of the first cycle, an integer.
    - ``T_mult``: the ratio of the lengths of successive cycles, an integer.
    - ``eta_min``: the value that each cycle approaches.

    **Raises:** `ValueError` if ``T_0`` or ``T_mult`` is below 1, `TypeError` if it is
    not an integer.

    **Source:** Loshchilov and Hutter (2017), "SGDR: Stochastic gradient descent with
    warm restarts", arXiv:1608.03983.
    """

    base: Scalar
    T_0: Count
    T_mult: Count = 1
    eta_min: Scalar = 0.0

    def __post_init__(self) -> None:
        check_number("base", self.base)
        check_count("T_0", self.T_0, at_least=1)
        check_count("T_mult", self.T_mult, at_least=1)
        check_number("eta_min", self.eta_min)

    def __call__(self, step: Any) -> Array:
        t = as_step(step)
        first, times = as_count(self.T_0), as_count(self.T_mult)
        elapsed, length = _last_restart(t // first, times)
        done = t - first * elapsed
        return between(self.base, self.eta_min, done, first * length - done, "cosine")


def _last_restart(t: Array, times: Array) -> tuple[Array, Array]:
    """Start and length of the last cycle that began by ``t``, if the first has 1.

    After ``n`` cycles, the start is ``1 + times + ... + times**(n-1)``.
    """
    growing = jnp.maximum(times, 2)
    # The number of cycles is computed with a logarithm, which rounding can move by one
    # at a restart; so it starts one too low, and integers count the last cycles.
    ratio = as_scalar(growing)
    runs = jnp.log1p(as_scalar(t) * (ratio - 1)) / jnp.log(ratio)
    length = growing ** as_count(jnp.maximum(jnp.floor(runs) - 1, 0))
    elapsed = (length - 1) // (growing - 1)
    for _ in range(2):
        # elapsed * growing + 1 <= t, where the left side may not overflow
        has_restarted = elapsed <= (t - 1) // growing
        elapsed = jnp.where(has_restarted, elapsed * growing + 1, elapsed)
        length = jnp.where(has_restarted, length * growing, length)
    return jnp.where(times > 1, elapsed, t), jnp.where(times > 1, length, 1)
