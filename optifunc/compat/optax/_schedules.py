"""optax's schedules on top of ours; they accept counts of any shape, as in optax."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ... import schedules as ours
from ..._dataclass import static
from ..._numerics import Scalar
from ...schedules._base import FractionalStep
from ...schedules._function import as_schedule
from ._own import from_optax
from ._transformation import Schedule


@ours.schedule
class _of_counts(ours.Schedule):
    """A schedule that can be called with any count.

    The count may be an array, before the start, or fractional.
    """

    inner: Any
    # Evaluated at this many counts later: optax's `transition_begin`.
    begin: int = static(default=0)

    def __call__(self, step: Any) -> Array:
        if isinstance(step, FractionalStep):
            step = step.step
        count: Any = jnp.asarray(step) if np.ndim(step) else step
        count = jnp.maximum(count - self.begin, 0)
        value = self.inner
        if jnp.issubdtype(count.dtype, jnp.floating):
            value = self._of_fraction
        for _ in range(np.ndim(count)):
            value = jax.vmap(value)
        result: Array = value(count)
        return result

    def _of_fraction(self, count: Array) -> Array:
        # Fractions and whole numbers meet.
        with jax.numpy_dtype_promotion("standard"):
            value: Array = self.inner(FractionalStep(count))
        return value


def _own(name: str, *arguments: Any) -> Schedule:
    """optax's own schedule, for fractional counts."""
    schedule: Schedule = from_optax(name)(*arguments)
    return schedule


def _are_whole(*counts: Any) -> bool:
    return all(float(count) == int(count) for count in counts)


def constant_schedule(value: Scalar) -> Schedule:
    """`of.schedules.constant`."""
    return _of_counts(ours.constant(value))


def linear_schedule(
    init_value: Scalar,
    end_value: Scalar,
    transition_steps: int,
    transition_begin: int = 0,
) -> Schedule:
    """`of.schedules.from_to`."""
    if transition_steps <= 0:
        return constant_schedule(init_value)
    if not _are_whole(transition_steps, transition_begin):
        return _own(
            "linear_schedule", init_value, end_value, transition_steps, transition_begin
        )
    line = ours.from_to(init_value, end_value, int(transition_steps))
    return _of_counts(line, max(int(transition_begin), 0))


def polynomial_schedule(
    init_value: Scalar,
    end_value: Scalar,
    power: Scalar,
    transition_steps: int,
    transition_begin: int = 0,
) -> Schedule:
    """`of.schedules.from_to` with a power curve."""
    if transition_steps <= 0:
        return constant_schedule(init_value)
    if not _are_whole(transition_steps, transition_begin):
        return _own(
            "polynomial_schedule",
            init_value,
            end_value,
            power,
            transition_steps,
            transition_begin,
        )
    steps = int(transition_steps)
    curve = ours.from_to(init_value, end_value, steps, "power", power)
    return _of_counts(curve, max(int(transition_begin), 0))


def exponential_decay(
    init_value: Scalar,
    transition_steps: int,
    decay_rate: Scalar,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: Scalar | None = None,
) -> Schedule:
    """`of.schedules.exponential`, or `of.schedules.step` with ``staircase``."""
    if transition_steps <= 0 or decay_rate == 0:
        return constant_schedule(init_value)
    if not _are_whole(transition_steps, transition_begin):
        return _own(
            "exponential_decay",
            init_value,
            transition_steps,
            decay_rate,
            transition_begin,
            staircase,
            end_value,
        )
    steps = int(transition_steps)
    curve: Any = (
        ours.step(init_value, steps, decay_rate)
        if staircase
        else ours.exponential(init_value, decay_rate ** (1 / steps))
    )
    if end_value is not None:
        curve = _bounded(curve, end_value, bool(decay_rate < 1))
    return _of_counts(curve, max(int(transition_begin), 0))


@ours.schedule
class _bounded(ours.Schedule):
    """A schedule that stops at a value."""

    inner: Any
    bound: Any
    from_above: bool = static()

    def __call__(self, step: Any) -> Array:
        stop = jnp.maximum if self.from_above else jnp.minimum
        value: Array = self.inner(step)
        return stop(value, jnp.asarray(self.bound, value.dtype))


def cosine_decay_schedule(
    init_value: float, decay_steps: int, alpha: float = 0.0, exponent: float = 1.0
) -> Schedule:
    """`of.schedules.warmup_cosine` without a warmup."""
    if not decay_steps > 0:
        raise ValueError(f"decay_steps must be above 0, found {decay_steps!r}")
    if not _are_whole(decay_steps):
        return _own("cosine_decay_schedule", init_value, decay_steps, alpha, exponent)
    return _of_counts(
        ours.warmup_cosine(
            init_value,
            0,
            int(decay_steps),
            end_value=alpha * init_value,
            exponent=exponent,
        )
    )


def _boundaries_and_scales(
    boundaries_and_scales: Mapping[int, float] | None,
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    pairs = sorted((boundaries_and_scales or {}).items())
    return tuple(int(b) for b, _ in pairs), tuple(scale for _, scale in pairs)


def piecewise_constant_schedule(
    init_value: float, boundaries_and_scales: Mapping[int, float] | None = None
) -> Schedule:
    """`of.schedules.piecewise_constant`."""
    boundaries, scales = _boundaries_and_scales(boundaries_and_scales)
    if not boundaries:
        return constant_schedule(init_value)
    return _of_counts(ours.piecewise_constant(init_value, boundaries, scales))


def piecewise_interpolate_schedule(
    interpolate_type: str,
    init_value: Scalar,
    boundaries_and_scales: Mapping[int, float] | None = None,
) -> Schedule:
    """`of.schedules.piecewise_interpolated`."""
    boundaries, scales = _boundaries_and_scales(boundaries_and_scales)
    if not boundaries:
        return constant_schedule(init_value)
    interpolation: Any = interpolate_type
    return _of_counts(
        ours.piecewise_interpolated(init_value, boundaries, scales, interpolation)
    )


def linear_onecycle_schedule(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """Linear rise, decay and further decay."""
    if transition_steps <= 0:
        raise ValueError(
            f"transition_steps must be above 0, found {transition_steps!r}"
        )
    ends = {
        int(pct_start * transition_steps): div_factor,
        int(pct_final * transition_steps): 1.0 / div_factor,
        int(transition_steps): 1.0 / final_div_factor,
    }
    return piecewise_interpolate_schedule("linear", peak_value / div_factor, ends)


def cosine_onecycle_schedule(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """Rise and decay along half cosine waves."""
    if transition_steps <= 0:
        raise ValueError(
            f"transition_steps must be above 0, found {transition_steps!r}"
        )
    ends = {
        int(pct_start * transition_steps): div_factor,
        int(transition_steps): 1.0 / (div_factor * final_div_factor),
    }
    return piecewise_interpolate_schedule("cosine", peak_value / div_factor, ends)


def join_schedules(
    schedules: Sequence[Schedule], boundaries: Sequence[int]
) -> Schedule:
    """`of.schedules.sequential`."""
    members = [_of_counts(as_schedule(member)) for member in schedules]
    if len(members) == 1:
        return members[0]
    milestones = [int(boundary) for boundary in boundaries]
    return _of_counts(ours.sequential(members, milestones))


def warmup_constant_schedule(
    init_value: float, peak_value: float, warmup_steps: int
) -> Schedule:
    """Linear warmup, and constant afterward."""
    return linear_schedule(init_value, peak_value, warmup_steps)


def warmup_cosine_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    decay_steps: int,
    end_value: float = 0.0,
    exponent: float = 1.0,
) -> Schedule:
    """`of.schedules.warmup_cosine`; ``decay_steps`` includes the warmup."""
    alpha = 0.0 if peak_value == 0.0 else end_value / peak_value
    rest = cosine_decay_schedule(
        peak_value, decay_steps - warmup_steps, alpha, exponent
    )
    warmup = linear_schedule(init_value, peak_value, warmup_steps)
    return join_schedules([warmup, rest], [warmup_steps])


def warmup_exponential_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Schedule:
    """Linear warmup, and exponential decay."""
    rest = exponential_decay(
        peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value
    )
    warmup = linear_schedule(init_value, peak_value, warmup_steps)
    return join_schedules([warmup, rest], [warmup_steps])


def sgdr_schedule(cosine_kwargs: Iterable[dict[str, Any]]) -> Schedule:
    """Cycles of `warmup_cosine_decay_schedule`, one after another."""
    cycles = list(cosine_kwargs)
    ends = np.cumsum([cycle["decay_steps"] for cycle in cycles])
    members = [warmup_cosine_decay_schedule(**cycle) for cycle in cycles]
    return join_schedules(members, [int(end) for end in ends[:-1]])
