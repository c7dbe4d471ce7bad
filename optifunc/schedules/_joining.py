"""Schedules composed of schedules: one after another, and multiplied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array

from .._numerics import as_scalar, is_number, is_zero
from ._arguments import Count, as_count, as_members, check_milestones
from ._base import MultiplicativeSchedule, Schedule, as_step, schedule
from ._cosine import cosine_annealing
from ._function import as_schedule


def _check_schedules(schedules: Any) -> tuple[Schedule, ...]:
    members = tuple(map(as_schedule, as_members("schedules", schedules)))
    if not members:
        raise ValueError("schedules must hold at least one schedule, found none")
    for i, member in enumerate(members):
        if not isinstance(member, Schedule):
            raise TypeError(
                f"schedules[{i}] must be a schedule, found {member!r}; for a constant "
                "number, write of.schedules.constant(number)"
            )
    return members


@schedule
class sequential(Schedule):
    """One schedule after another: `torch.optim.lr_scheduler.SequentialLR`.

    ::

        value(t) = schedules[i](t - milestones[i-1])
                   for milestones[i-1] <= t < milestones[i]

    Each counts its steps from its milestone and has its own base. (In torch, all share
    the optimizer's; and a ``MultiplicativeLR`` that is not the first continues from the
    last value before its milestone, times ``lr_lambda(0)``, which a pure function of
    the step cannot know.) All schedules are evaluated at each step.

    **Arguments:**

    - ``schedules``: a sequence of schedules or functions of the step.
    - ``milestones``: increasing integers, one fewer than schedules.

    **Raises:** `ValueError` if there are no schedules, the number of milestones is
    wrong, or milestones are negative or do not increase; `TypeError` for a member that
    is not a schedule and a milestone that is not an integer.
    """

    schedules: Sequence[Schedule]
    milestones: Sequence[Count] | Array

    def __post_init__(self) -> None:
        schedules = _check_schedules(self.schedules)
        milestones = as_members("milestones", self.milestones)
        check_milestones("milestones", milestones, increasing=True)
        if len(milestones) != len(schedules) - 1:
            raise ValueError(
                "milestones must be one fewer than schedules, "
                f"found {len(milestones)} and {len(schedules)}"
            )
        object.__setattr__(self, "schedules", schedules)
        object.__setattr__(self, "milestones", milestones)

    def __call__(self, step: Any) -> Array:
        t = as_step(step)
        first, *others = self.schedules
        value = first(t)
        for member, milestone in zip(others, self.milestones, strict=True):
            since = t - as_count(milestone)
            value = jnp.where(since >= 0, member(jnp.maximum(since, 0)), value)
        return value


@schedule
class chained(Schedule):
    """Schedules multiplied: `torch.optim.lr_scheduler.ChainedScheduler`.

    ::

        value(t) = base * m_1(t) * ... * m_n(t)   where schedules[i](t) = base * m_i(t)

    Only schedules that are a multiple of their base can be chained: `constant`,
    `linear`, `exponential`, `step`, `multi_step`, `multiplicative`, `polynomial`,
    `piecewise_constant`, `piecewise_interpolated`, `cosine_annealing` with
    ``eta_min=0.0``, and other chains of them. After the ``T_max`` of a cosine, torch's
    chain has multiplied by 0 and restarts without the other factors; this one keeps
    them.

    **Arguments:**

    - ``schedules``: a sequence of schedules with the same base. (If bases are arrays,
      that of the first is used.)

    **Raises:** `ValueError` if there are no schedules, for one that is not a multiple
    of its base and for bases that differ; `TypeError` for a member that is not a
    schedule.
    """

    schedules: Sequence[Schedule]

    def __post_init__(self) -> None:
        members: list[Schedule] = []
        for member in _check_schedules(self.schedules):
            members += member.schedules if isinstance(member, chained) else [member]
        for i, member in enumerate(members):
            if isinstance(member, cosine_annealing):
                if not is_zero(member.eta_min):
                    raise ValueError(
                        f"schedules[{i}] must be a multiple of its base, found a "
                        f"cosine with eta_min={member.eta_min!r}; use the number 0.0 "
                        "or join schedules with sequential"
                    )
            elif not isinstance(member, MultiplicativeSchedule):
                raise ValueError(
                    f"schedules[{i}] must be a multiple of its base that can be "
                    f"multiplied with others, found {member!r}; "
                    "join schedules with sequential"
                )
        bases = [m.base for m in members]  # type: ignore[attr-defined]
        known = [base for base in bases if is_number(base)]
        if any(base != known[0] for base in known):
            raise ValueError(f"schedules must have the same base, found {known}")
        object.__setattr__(self, "schedules", tuple(members))

    def __call__(self, step: Any) -> Array:
        t = as_step(step)
        members: Any = self.schedules
        product: Array = math.prod(member.multiplier(t) for member in members)
        return as_scalar(members[0].base) * product
