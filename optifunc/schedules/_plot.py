"""Plots of schedules."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_integer
from .._numerics import is_number
from .._plotting import require_pyplot
from ._base import Schedule
from ._constant import constant
from ._function import as_schedule

# More points than a plot has columns.
_MOST_POINTS = 2000


def plot(
    schedules: Any,
    steps: int | None = None,
    *,
    ax: Any = None,
    label: str | None = None,
) -> Any:
    """Plot one or several schedules against the steps.

    ::

        of.schedules.plot({"cosine": cosine, "REX": rex}, 10_000)

    **Arguments:**

    - ``schedules``: a schedule, or a dict of schedules by the names that the legend
      shows. A function of the step or a number also works.
    - ``steps``: the number of steps to plot; None: a tenth more than the schedules' own
      lengths, or 1000 for schedules without any.
    - ``ax``: matplotlib axes to draw into; None: those of a new figure.
    - ``label``: the name of a single schedule in a legend, or None.

    **Returns:** the matplotlib axes.

    **Raises:** `ImportError` if matplotlib, which is part of the ``examples`` extra, is
    not installed; `TypeError` for anything but a schedule; `ValueError` if there are no
    schedules or ``steps`` is below 1.
    """
    named = dict(schedules) if isinstance(schedules, Mapping) else {label: schedules}
    if not named:
        raise ValueError("schedules must hold at least one schedule, found none")
    drawn = {name: _as_schedule(name, value) for name, value in named.items()}
    if steps is None:
        span = max(_span(schedule) for schedule in drawn.values())
        steps = span + -(-span // 10) if span else 1000
    check_integer("steps", steps, at_least=1)
    if ax is None:
        pyplot = require_pyplot(
            "drawing a schedule",
            ", or evaluate jax.vmap(schedule)(steps) and draw the values with another "
            "library",
        )
        ax = pyplot.subplots()[1]
    count = min(steps + 1, _MOST_POINTS)
    places = np.unique(np.linspace(0, steps, count).round().astype(np.int32))
    for name, schedule in drawn.items():
        values = jax.jit(jax.vmap(schedule))(jnp.asarray(places))
        ax.plot(places, np.asarray(values), label=name)
    ax.set_xlabel("step")
    ax.set_ylabel("value")
    if any(name is not None for name in drawn):
        ax.legend()
    return ax


def _as_schedule(name: Any, value: Any) -> Schedule:
    found = constant(value) if is_number(value) else as_schedule(value)
    if not isinstance(found, Schedule):
        where = "schedules" if name is None else f"schedules[{name!r}]"
        raise TypeError(
            f"{where} must be a schedule, a function of the step or a number, "
            f"found {value!r}"
        )
    return found


def _span(value: Any) -> int:
    """The length of a schedule: the sum of its counts, excluding a total."""
    if is_number(value) and not isinstance(value, bool):
        return int(value) if isinstance(value, int | np.integer) else 0
    if hasattr(value, "dtype"):
        is_count = jnp.issubdtype(value.dtype, jnp.integer)
        return int(np.max(value, initial=0)) if is_count else 0
    if isinstance(value, Sequence) and not isinstance(value, str):
        return max(map(_span, value), default=0)
    if not isinstance(value, Schedule):
        return 0
    fields = {
        f.name: getattr(value, f.name)
        for f in dataclasses.fields(value)  # type: ignore[arg-type]
        if not f.metadata.get("static")
    }
    if fields.get("total_steps") is not None:
        return _span(fields["total_steps"])
    counts = sum(_span(v) for v in fields.values() if not _holds_schedules(v))
    return counts + max(
        (_span(v) for v in fields.values() if _holds_schedules(v)), default=0
    )


def _holds_schedules(value: Any) -> bool:
    members = value if isinstance(value, tuple | list) else (value,)
    return any(isinstance(member, Schedule) for member in members)
