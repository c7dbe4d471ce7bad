"""Schedules that repeat, and one that ends another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import jax.numpy as jnp
from jax import Array

from .._checks import check_choice
from .._dataclass import static
from .._numerics import Scalar, as_scalar, is_number
from ._arguments import Count, as_count, as_members, check_count, check_number
from ._base import Schedule, as_step, schedule
from ._curves import Curve, between, geometric
from ._function import as_schedule
from ._joining import sequential
from ._warmup import warmup_cosine


@schedule
class repeated(Schedule):
    """A periodically repeated schedule.

    ::

        value(t) = gamma**(t // period) * schedule(t % period)

    With warmup, plateau and decay in each cycle, there is a usable model at the end of
    each (WSD-S)::

        of.schedules.repeated(of.schedules.warmup_stable_decay(1e-3, 10, 70, 20), 100)

    **Arguments:**

    - ``schedule``: a schedule or a function of the step.
    - ``period``: the number of steps of a cycle, an integer.
    - ``gamma``: the factor of each cycle relative to the previous one, at least 0.

    **Raises:** `ValueError` if ``period`` is below 1 or ``gamma`` is negative;
    `TypeError` if ``schedule`` is not a schedule or ``period`` not an integer.
    """

    schedule: Schedule
    period: Count
    gamma: Scalar = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedule", _as_checked_schedule(self.schedule))
        check_count("period", self.period, at_least=1)
        check_number("gamma", self.gamma, at_least=0)

    def __call__(self, step: Any) -> Array:
        t, period = as_step(step), as_count(self.period)
        value = as_scalar(self.schedule(t % period))
        if is_number(self.gamma) and self.gamma == 1:
            return value
        return geometric(self.gamma, t // period) * value


@schedule
class cooldown(Schedule):
    """A schedule that is followed up to some step and then decays to its end.

    ::

        value(t) = schedule(t)                                        for t < begin
                 = end_value + (schedule(begin) - end_value) * (1 - f(p))
        f(p) = p                            "linear"
             = (1 - cos(pi * p)) / 2        "cosine"
             = sqrt(p)                      "sqrt"
             = p**2                         "square"

    with ``p = (t - begin) / steps``, at most 1. It may begin at any checkpoint of a run
    without a fixed end::

        endless = of.schedules.inverse_square_root(1e-3, 100)
        of.schedules.cooldown(endless, begin=9000, steps=1000)

    **Arguments:**

    - ``schedule``: a schedule or a function of the step.
    - ``begin``: the step at which the decay begins, an integer.
    - ``steps``: the number of steps from there to ``end_value``, an integer.
    - ``end_value``: the value afterward.
    - ``curve``: ``"linear"``, ``"cosine"``, ``"sqrt"`` or ``"square"``.

    **Raises:** `ValueError` if ``begin`` is negative, ``steps`` is below 1 or ``curve``
    is unknown; `TypeError` if ``schedule`` is not a schedule or a number of steps is
    not an integer.

    **Source:** Zhai et al. (2022), "Scaling vision transformers", arXiv:2106.04560;
    Hägele et al. (2024), "Scaling laws and compute-optimal training beyond fixed
    training durations", arXiv:2405.18392.
    """

    schedule: Schedule
    begin: Count
    steps: Count
    end_value: Scalar = 0.0
    curve: Curve = static(default="linear")

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedule", _as_checked_schedule(self.schedule))
        check_count("begin", self.begin, at_least=0)
        check_count("steps", self.steps, at_least=1)
        check_number("end_value", self.end_value)
        check_choice("curve", self.curve, get_args(Curve))

    def __call__(self, step: Any) -> Array:
        t, begin, steps = as_step(step), as_count(self.begin), as_count(self.steps)
        # The schedule itself up to `begin`, and constant from there on.
        value = as_scalar(self.schedule(jnp.minimum(t, begin)))
        done = jnp.clip(t - begin, 0, steps)
        return between(value, self.end_value, done, steps - done, self.curve)


def sgdr(
    peaks: Sequence[Scalar],
    lengths: Sequence[int],
    warmup_steps: int | Sequence[int] = 0,
    initial_value: Scalar = 0.0,
    end_value: Scalar = 0.0,
) -> sequential:
    """Cosines one after the other, each with its own warmup and peak.

    Cycle ``i`` is ``warmup_cosine(peaks[i], warmup_steps[i], lengths[i], ...)``. For
    cycles that differ only by a factor, use `repeated`; for torch's, without warmup and
    with lengths that grow by a factor, use `cosine_annealing_warm_restarts`.

    **Arguments:**

    - ``peaks``: the largest value of each cycle.
    - ``lengths``: the number of steps of each, integers.
    - ``warmup_steps``: the length of the warmup in each cycle, or one for all.
    - ``initial_value``: the value at the start of each warmup.
    - ``end_value``: the value at the end of each cycle.

    **Returns:** a `sequential` schedule.

    **Raises:** `ValueError` if the sequences differ in length or are empty, or a cycle
    is not longer than its warmup; `TypeError` if a number of steps is not an integer.

    **Source:** Loshchilov and Hutter (2017), "SGDR: Stochastic gradient descent with
    warm restarts", arXiv:1608.03983.
    """
    tops, sizes = as_members("peaks", peaks), as_members("lengths", lengths)
    warmups = (
        (warmup_steps,) * len(tops)
        if is_number(warmup_steps)
        else as_members("warmup_steps", warmup_steps)
    )
    if not len(tops) == len(sizes) == len(warmups) > 0:
        raise ValueError(
            "peaks, lengths and warmup_steps must have the same length, at least 1, "
            f"found {len(tops)}, {len(sizes)} and {len(warmups)}"
        )
    cycles = [
        warmup_cosine(peak, warmup, length, initial_value, end_value)
        for peak, length, warmup in zip(tops, sizes, warmups, strict=True)
    ]
    begins = [sum(sizes[:i]) for i in range(1, len(sizes))]
    return sequential(cycles, begins)


def _as_checked_schedule(value: Any) -> Schedule:
    found = as_schedule(value)
    if not isinstance(found, Schedule):
        raise TypeError(
            f"schedule must be a schedule or a function of the step, found {value!r}"
        )
    return found
