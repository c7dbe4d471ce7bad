"""Decays: linear, by a power, and geometric."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array

from .._numerics import Scalar, as_scalar, is_number
from ._arguments import (
    Count,
    as_count,
    as_counts,
    as_members,
    check_count,
    check_factor,
    check_milestones,
    check_number,
)
from ._base import MultiplicativeSchedule, schedule
from ._curves import between, fractions, geometric


@schedule
class linear(MultiplicativeSchedule):
    """Linear, then constant: `torch.optim.lr_scheduler.LinearLR`.

    ::

        p = min(t / total_iters, 1)
        value(t) = base * (start_factor * (1 - p) + end_factor * p)

    As in torch, ``total_iters=0`` stays at ``base * start_factor``. The factors are
    multiples of ``base``; for a line from one value to another, use `from_to`.

    **Arguments:**

    - ``base``: the value that the factors multiply, a number.
    - ``start_factor``: the multiple at step 0, in (0, 1].
    - ``end_factor``: the multiple from ``total_iters`` on, in [0, 1].
    - ``total_iters``: the number of steps between them, an integer.

    **Raises:** `ValueError` if a factor or ``total_iters`` is out of range, or if both
    factors are the same number, so that the value never changes; `TypeError` if
    ``total_iters`` is not an integer.
    """

    base: Scalar
    start_factor: Scalar = 1 / 3
    end_factor: Scalar = 1.0
    total_iters: Count = 5

    def __post_init__(self) -> None:
        check_number("base", self.base)
        start, end = self.start_factor, self.end_factor
        instead = (
            "for a value that goes from a to b in n steps, write "
            "of.schedules.from_to(a, b, n)"
        )
        check_factor("start_factor", start, above=0, at_most=1, instead=instead)
        check_factor("end_factor", end, at_least=0, at_most=1, instead=instead)
        check_count("total_iters", self.total_iters, at_least=0)
        if is_number(start) and is_number(end) and start == end:
            raise ValueError(
                f"start_factor and end_factor must differ, found {start!r} for both. "
                f"They are multiples of base, which then never changes; {instead}"
            )

    def multiplier(self, step: Array) -> Array:
        total_iters = as_count(self.total_iters)
        done = jnp.minimum(step, total_iters)
        return between(self.start_factor, self.end_factor, done, total_iters - done)


@schedule
class polynomial(MultiplicativeSchedule):
    """Decay to 0 by a power: `torch.optim.lr_scheduler.PolynomialLR`.

    ::

        value(t) = base * (1 - min(t / total_iters, 1))**power

    As in torch, ``total_iters=0`` stays at ``base``.

    **Arguments:**

    - ``base``: the value at step 0, a number.
    - ``total_iters``: the step at which the value is 0, an integer.
    - ``power``: 1 for linear decay, greater to decay faster at first; a number.

    **Raises:** `ValueError` if ``total_iters`` or ``power`` is negative, `TypeError` if
    ``total_iters`` is not an integer.
    """

    base: Scalar
    total_iters: Count = 5
    power: Scalar = 1.0

    def __post_init__(self) -> None:
        check_number("base", self.base)
        check_count("total_iters", self.total_iters, at_least=0)
        check_number("power", self.power, at_least=0)

    def multiplier(self, step: Array) -> Array:
        total_iters = as_count(self.total_iters)
        done = jnp.minimum(step, total_iters)
        left, _ = fractions(done, total_iters - done)
        return jnp.power(left, as_scalar(self.power))


@schedule
class exponential(MultiplicativeSchedule):
    """Geometric decay: `torch.optim.lr_scheduler.ExponentialLR`.

    ::

        value(t) = base * gamma**t

    In float32, the relative error is ``1e-7 * (1 + t * abs(log(gamma)))`` for a Python
    number ``gamma``. A ``gamma`` that is a float32 array is already rounded, which adds
    ``t * 6e-8``.

    **Arguments:**

    - ``base``: the value at step 0, a number.
    - ``gamma``: the ratio of each value to the previous one, at least 0.

    **Raises:** `ValueError` if ``gamma`` is negative or NaN.
    """

    base: Scalar
    gamma: Scalar

    def __post_init__(self) -> None:
        check_number("base", self.base)
        check_number("gamma", self.gamma, at_least=0)

    def multiplier(self, step: Array) -> Array:
        return geometric(self.gamma, step)


@schedule
class step(MultiplicativeSchedule):
    """Decay every ``step_size`` updates: `torch.optim.lr_scheduler.StepLR`.

    ::

        value(t) = base * gamma**(t // step_size)

    **Arguments:**

    - ``base``: the value at step 0, a number.
    - ``step_size``: the number of updates between two decays, an integer.
    - ``gamma``: the factor of the value, at least 0.

    **Raises:** `ValueError` if ``step_size`` is below 1 or ``gamma`` is negative,
    `TypeError` if ``step_size`` is not an integer.
    """

    base: Scalar
    step_size: Count
    gamma: Scalar = 0.1

    def __post_init__(self) -> None:
        check_number("base", self.base)
        check_count("step_size", self.step_size, at_least=1)
        check_number("gamma", self.gamma, at_least=0)

    def multiplier(self, step: Array) -> Array:
        return geometric(self.gamma, step // as_count(self.step_size))


@schedule
class multi_step(MultiplicativeSchedule):
    """Decay at given updates: `torch.optim.lr_scheduler.MultiStepLR`.

    ::

        value(t) = base * gamma**n,   n = number of milestones m <= t

    **Arguments:**

    - ``base``: the value before the first milestone, a number.
    - ``milestones``: integers in any order (a repeated one counts twice, as in torch),
      a sequence or an integer array.
    - ``gamma``: the factor of the value at each, at least 0.

    **Raises:** `ValueError` if a milestone or ``gamma`` is negative, `TypeError` if a
    milestone is not an integer.
    """

    base: Scalar
    milestones: Sequence[Count] | Array
    gamma: Scalar = 0.1

    def __post_init__(self) -> None:
        check_number("base", self.base)
        milestones = as_members("milestones", self.milestones)
        check_milestones("milestones", milestones, increasing=False)
        check_number("gamma", self.gamma, at_least=0)
        object.__setattr__(self, "milestones", milestones)

    def multiplier(self, step: Array) -> Array:
        reached = jnp.sum(as_counts(self.milestones) <= step, dtype=step.dtype)
        return geometric(self.gamma, reached)
