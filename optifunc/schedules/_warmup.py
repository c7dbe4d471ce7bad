"""Warmups, and the decays that commonly follow them."""

from __future__ import annotations

from typing import Any, get_args

import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_choice
from .._dataclass import static
from .._numerics import Scalar, as_scalar, is_number, is_zero
from ._arguments import Count, as_count, check_count, check_number
from ._base import Schedule, as_step, schedule
from ._curves import Curve, between, fractions, raised_cosine


def check_warmup(cycle: Any) -> None:
    """Check the numbers of a warmup and the decay after it."""
    check_number("base", cycle.base)
    check_count("warmup_steps", cycle.warmup_steps, at_least=0)
    least = cycle.warmup_steps + 1 if is_number(cycle.warmup_steps) else 1
    check_count("total_steps", cycle.total_steps, at_least=least)
    check_number("initial_value", cycle.initial_value)
    check_number("end_value", cycle.end_value)


def warmed_up(
    value: Array, base: Scalar, initial_value: Scalar, warmup_steps: Count, step: Array
) -> Array:
    """``value``, after a linear warmup from ``initial_value`` to ``base``."""
    left = as_count(warmup_steps) - step
    return jnp.where(left > 0, between(initial_value, base, step, left), value)


def steps_of_decay(
    step: Array, warmup_steps: Count, total_steps: Count
) -> tuple[Array, Array]:
    """The numbers of decay steps after a warmup that are done and left."""
    begin, end = as_count(warmup_steps), as_count(total_steps)
    step = jnp.clip(step, begin, end)
    return step - begin, end - step


@schedule
class warmup_cosine(Schedule):
    """Linear warmup, cosine decay, and constant afterward.

    ::

        value(t) = initial_value + (base - initial_value) * t / warmup_steps
                                                           for t < warmup_steps
                 = end_value + (base - end_value) * ((1 + cos(pi * p)) / 2)**exponent

    with ``p = (t - warmup_steps) / (total_steps - warmup_steps)``, at most 1.

    **Arguments:**

    - ``base``: the value at the peak.
    - ``warmup_steps``: the length of the warmup, an integer.
    - ``total_steps``: the length of warmup and decay together, an integer.
    - ``initial_value``: the value at step 0.
    - ``end_value``: the value from ``total_steps`` on.
    - ``exponent``: greater than 1 to decay faster, a number above 0.

    **Raises:** `ValueError` unless ``0 <= warmup_steps < total_steps`` and
    ``exponent > 0``, `TypeError` if a number of steps is not an integer.

    **Source:** Goyal et al. (2017), arXiv:1706.02677, for the warmup; Loshchilov and
    Hutter (2017), arXiv:1608.03983, for the decay.
    """

    base: Scalar
    warmup_steps: Count
    total_steps: Count
    initial_value: Scalar = 0.0
    end_value: Scalar = 0.0
    exponent: Scalar = 1.0

    def __post_init__(self) -> None:
        check_warmup(self)
        check_number("exponent", self.exponent, above=0)

    def __call__(self, step: Any) -> Array:
        t = as_step(step)
        left, _ = fractions(*steps_of_decay(t, self.warmup_steps, self.total_steps))
        height = jnp.power(raised_cosine(left), as_scalar(self.exponent))
        base, end_value = as_scalar(self.base), as_scalar(self.end_value)
        value = height * base + (1 - height) * end_value
        return warmed_up(value, base, self.initial_value, self.warmup_steps, t)


@schedule
class warmup_linear(Schedule):
    """Linear warmup, linear decay, and constant afterward.

    ::

        value(t) = initial_value + (base - initial_value) * t / warmup_steps
                                                           for t < warmup_steps
                 = base + (end_value - base) * p

    with ``p = (t - warmup_steps) / (total_steps - warmup_steps)``, at most 1.

    **Arguments:**

    - ``base``: the value at the peak.
    - ``warmup_steps``: the length of the warmup, an integer.
    - ``total_steps``: the length of warmup and decay together, an integer.
    - ``initial_value``: the value at step 0.
    - ``end_value``: the value from ``total_steps`` on.

    **Raises:** `ValueError` unless ``0 <= warmup_steps < total_steps``, `TypeError` if
    one of them is not an integer.

    **Source:** the schedule of BERT: Devlin et al. (2019), arXiv:1810.04805.
    """

    base: Scalar
    warmup_steps: Count
    total_steps: Count
    initial_value: Scalar = 0.0
    end_value: Scalar = 0.0

    def __post_init__(self) -> None:
        check_warmup(self)

    def __call__(self, step: Any) -> Array:
        t = as_step(step)
        done, left = steps_of_decay(t, self.warmup_steps, self.total_steps)
        value = between(self.base, self.end_value, done, left)
        return warmed_up(value, self.base, self.initial_value, self.warmup_steps, t)


@schedule
class warmup_stable_decay(Schedule):
    """Linear warmup, constant for most of the run, and decay at its end.

    ::

        value(t) = initial_value + (base - initial_value) * t / warmup_steps
                                                 for t < warmup_steps
                 = base                          for stable_steps more
                 = end_value + (base - end_value) * (1 - f(p))
        f(p) = p                                 "linear"
             = (1 - cos(pi * p)) / 2             "cosine"
             = sqrt(p)                           "sqrt"
             = p**2                              "square"

    with ``p = (t - warmup_steps - stable_steps) / decay_steps``, at most 1. Since the
    value before the decay does not depend on the length of the run, the decay can
    begin from any checkpoint.

    **Arguments:**

    - ``base``: the constant value.
    - ``warmup_steps``, ``stable_steps``, ``decay_steps``: the lengths of the three
      phases, integers.
    - ``initial_value``: the value at step 0.
    - ``end_value``: the value after the decay.
    - ``decay``: the curve of the decay, ``"linear"``, ``"cosine"``, ``"sqrt"`` or
      ``"square"``.

    **Raises:** `ValueError` if a number of steps is negative (``decay_steps``: below 1)
    or ``decay`` is unknown, `TypeError` if a number of steps is not an integer.

    **Source:** Hu et al. (2024), "MiniCPM", arXiv:2404.06395. Hägele et al. (2024),
    "Scaling laws and compute-optimal training beyond fixed training durations",
    arXiv:2405.18392, compare the decays.
    """

    base: Scalar
    warmup_steps: Count
    stable_steps: Count
    decay_steps: Count
    initial_value: Scalar = 0.0
    end_value: Scalar = 0.0
    decay: Curve = static(default="linear")

    def __post_init__(self) -> None:
        check_number("base", self.base)
        check_count("warmup_steps", self.warmup_steps, at_least=0)
        check_count("stable_steps", self.stable_steps, at_least=0)
        check_count("decay_steps", self.decay_steps, at_least=1)
        check_number("initial_value", self.initial_value)
        check_number("end_value", self.end_value)
        check_choice("decay", self.decay, get_args(Curve))

    def __call__(self, step: Any) -> Array:
        t = as_step(step)
        begin = as_count(self.warmup_steps) + as_count(self.stable_steps)
        done, left = steps_of_decay(t, begin, begin + as_count(self.decay_steps))
        value = between(self.base, self.end_value, done, left, self.decay)
        return warmed_up(value, self.base, self.initial_value, self.warmup_steps, t)


@schedule
class inverse_square_root(Schedule):
    """Linear warmup, then decay with the inverse square root of the step.

    ::

        value(t) = initial_value + (base - initial_value) * t / warmup_steps
                                                          for t < warmup_steps
                 = base * sqrt(timescale / (timescale + t - warmup_steps))

    With the default ``timescale``, this is ``base * sqrt(warmup_steps / t)``.

    **Arguments:**

    - ``base``: the value at the peak.
    - ``warmup_steps``: the length of the warmup, an integer.
    - ``timescale``: the number of steps after the warmup at which the value is ``base /
      sqrt(2)``, above 0 (``None``: ``warmup_steps``).
    - ``initial_value``: the value at step 0.

    **Raises:** `ValueError` if ``warmup_steps`` is negative, or 0 without a
    ``timescale``, or if ``timescale`` is not above 0; `TypeError` if ``warmup_steps``
    is not an integer.

    **Source:** Vaswani et al. (2017), "Attention is all you need", arXiv:1706.03762.
    """

    base: Scalar
    warmup_steps: Count
    timescale: Scalar | None = None
    initial_value: Scalar = 0.0

    def __post_init__(self) -> None:
        check_number("base", self.base)
        check_count("warmup_steps", self.warmup_steps, at_least=0)
        if self.timescale is not None:
            check_number("timescale", self.timescale, above=0)
        elif is_zero(self.warmup_steps):
            raise ValueError(
                "timescale must be given without a warmup, "
                "found timescale=None and warmup_steps=0"
            )
        check_number("initial_value", self.initial_value)

    def __call__(self, step: Any) -> Array:
        t, warmup_steps = as_step(step), as_count(self.warmup_steps)
        scale = warmup_steps if self.timescale is None else self.timescale
        since = as_scalar(jnp.maximum(t - warmup_steps, 0))
        ratio = as_scalar(scale) / (as_scalar(scale) + since)
        value = as_scalar(self.base) * lax.sqrt(ratio)
        return warmed_up(value, self.base, self.initial_value, self.warmup_steps, t)
