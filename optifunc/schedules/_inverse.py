"""Decays with the inverse of the step, or a power of it."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from .._numerics import Scalar, as_scalar
from ._arguments import Count, as_count, check_count, check_number
from ._base import Schedule, as_step, schedule
from ._warmup import warmed_up


@schedule
class inverse_decay(Schedule):
    """Decay with the inverse of the step to a value in a given number of steps.

    ::

        value(t) = base / (1 + (base / end_value - 1) * t / total_steps)
                 = end_value                               from total_steps on

    Half of ``base`` is left after ``total_steps / (base / end_value - 1)`` steps.

    **Arguments:**

    - ``base``: the value at step 0, above 0.
    - ``total_steps``: the step at which the value is ``end_value``, an integer.
    - ``end_value``: the value from there on, above 0 and at most ``base``.

    **Raises:** `ValueError` if ``total_steps`` is below 1 or a value is out of range,
    `TypeError` if ``total_steps`` is not an integer.
    """

    base: Scalar
    total_steps: Count
    end_value: Scalar

    def __post_init__(self) -> None:
        check_number("base", self.base, above=0)
        check_count("total_steps", self.total_steps, at_least=1)
        most = {"at_most": self.base} if isinstance(self.base, int | float) else {}
        check_number("end_value", self.end_value, above=0, **most)

    def __call__(self, step: Any) -> Array:
        total_steps = as_count(self.total_steps)
        done = jnp.minimum(as_step(step), total_steps)
        base, end = as_scalar(self.base), as_scalar(self.end_value)
        # base * end / (weighted mean of end and base), which is exact at both ends.
        left, gone = as_scalar(total_steps - done), as_scalar(done)
        return as_scalar(total_steps) * (base * end / (end * left + base * gone))


@schedule
class power(Schedule):
    """Decay with a power of the number of examples seen: the power scheduler.

    ::

        value(t) = initial_value + (base - initial_value) * t / warmup_steps
                                                          for t < warmup_steps
                 = min(base, amplitude * (t * per_step)**exponent)

    The rate depends only on the number of examples or tokens, not on the length of the
    run. For a decay at the end, use `cooldown`. The article sets ``amplitude`` to a
    constant times the batch size.

    **Arguments:**

    - ``base``: the largest value.
    - ``amplitude``: the factor of the power, above 0.
    - ``exponent``: a number, negative to decay.
    - ``per_step``: the number of examples or tokens per update, above 0.
    - ``warmup_steps``: the length of the warmup, an integer.
    - ``initial_value``: the value at step 0 of a warmup.

    **Raises:** `ValueError` if ``warmup_steps`` is negative or ``amplitude`` or
    ``per_step`` is not above 0, `TypeError` if ``warmup_steps`` is not an integer.

    **Source:** Shen et al. (2024), "Power scheduler: a batch size and token number
    agnostic learning rate scheduler", arXiv:2408.13359.
    """

    base: Scalar
    amplitude: Scalar
    exponent: Scalar = -0.51
    per_step: Scalar = 1.0
    warmup_steps: Count = 0
    initial_value: Scalar = 0.0

    def __post_init__(self) -> None:
        check_number("base", self.base)
        check_number("amplitude", self.amplitude, above=0)
        check_number("exponent", self.exponent)
        check_number("per_step", self.per_step, above=0)
        check_count("warmup_steps", self.warmup_steps, at_least=0)
        check_number("initial_value", self.initial_value)

    def __call__(self, step: Any) -> Array:
        t = as_step(step)
        # At step 0, nothing has been seen, and a negative power is infinite.
        seen = as_scalar(jnp.maximum(t, 1)) * as_scalar(self.per_step)
        decayed = as_scalar(self.amplitude) * jnp.power(seen, as_scalar(self.exponent))
        base = as_scalar(self.base)
        is_first = (t == 0) & (as_scalar(self.exponent) < 0)
        value = jnp.where(is_first, base, jnp.minimum(base, decayed))
        return warmed_up(value, base, self.initial_value, self.warmup_steps, t)
