"""A line search for the strong Wolfe conditions, one evaluation at a time.

The caller evaluates the function at ``search.step_size`` and passes the result to
`advance`, so the loop around it evaluates the function in only one place. The search
ends where, for ``phi(t) = f(x + t * d)``::

    phi(t) <= phi(0) + 1e-4 * t * phi'(0)     (enough decrease)
    |phi'(t)| <= -0.9 * phi'(0)               (flat enough)

First, it lengthens the step until the last two trials must enclose such a point
(bracketing). Then it shortens the interval between them (zooming). Both phases use
cubic interpolation: Nocedal and Wright, "Numerical Optimization", 2006, algorithms 3.5
and 3.6, with the safeguards of Schmidt's minFunc, in the order that torch tests them.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from .._tree import select
from ..transforms._line import Point

DECREASE = 1e-4
CURVATURE = 0.9
# The smallest and largest factors by which a new trial lengthens the step.
LEAST_GROWTH, MOST_GROWTH = 0.01, 10.0
# The minimal distance of a trial from the bracket's ends to count as progress,
# relative.
MARGIN = 0.1
# A bracket in which no parameter changes by this much is not divided further.
SHORTEST = 1e-9


class Search(NamedTuple):
    """The progress of a search."""

    step_size: Array  # the step to evaluate next
    start: Point  # step 0
    span: Array  # the largest change of a parameter for a step of 1
    most: Array  # int32 [], how many evaluations there may be after the first
    first: Point  # one end of the bracket; while bracketing, the previous trial
    second: Point  # the other end
    second_is_low: Array  # bool [], which end has the lower value
    trials: Array  # int32 [], evaluations after the first
    zooming: Array  # bool []
    stalled: Array  # bool [], the last trial was close to an end of the bracket
    done: Array  # bool []

    def best(self) -> Point:
        """The result of a search that is done."""
        return select(self.second_is_low, self.second, self.first)


def start_search(start: Point, step_size: Array, span: Array, most: Array) -> Search:
    """A search that first tries ``step_size``; ``start`` is known, at step 0."""
    no, none = jnp.zeros((), bool), jnp.zeros((), jnp.int32)
    return Search(
        step_size=step_size,
        start=start,
        span=span,
        most=most,
        first=start,
        second=start,
        second_is_low=no,
        trials=none,
        zooming=no,
        stalled=no,
        done=no,
    )


def advance(search: Search, value: Array, slope: Array, grad: Array) -> Search:
    """Process the evaluation at ``search.step_size``: end the search, or continue."""
    trial = Point(search.step_size, value, slope, grad)
    search = select(search.zooming, _narrow(search, trial), _bracket(search, trial))
    return select(search.zooming, _divide(search), search)


def _bracket(search: Search, trial: Point) -> Search:
    """Lengthen the step, unless the last two trials enclose a solution."""
    previous = search.first
    # If no trial is left, the result is the better of the start and this trial.
    exhausted = search.trials >= search.most
    # A rise against the previous trial counts from the third trial on, as in torch.
    rising = (search.trials > 1) & (trial.value >= previous.value)
    rising |= _is_too_high(search, trial)
    solved = ~exhausted & ~rising & _is_flat(search, trial)
    longer = ~(exhausted | solved | rising | (trial.slope >= 0))
    step_size = _cubic_minimum(
        previous,
        trial,
        trial.step_size + LEAST_GROWTH * (trial.step_size - previous.step_size),
        MOST_GROWTH * trial.step_size,
    )
    first = select(exhausted, search.start, previous)
    return search._replace(
        step_size=jnp.where(longer, step_size, search.step_size),
        first=select(longer, trial, first),
        second=trial,
        second_is_low=solved | _second_is_low(first, trial),
        trials=jnp.where(longer, search.trials + 1, search.trials),
        zooming=~longer,
        done=exhausted | solved,
    )


def _narrow(search: Search, trial: Point) -> Search:
    """Make the trial one end of the bracket."""
    low = select(search.second_is_low, search.second, search.first)
    high = select(search.second_is_low, search.first, search.second)
    worse = _is_too_high(search, trial) | (trial.value >= low.value)
    solved = ~worse & _is_flat(search, trial)
    # If the function rises from the trial toward the high end, the solution is on the
    # other side, toward the old low end.
    turned = ~solved & (trial.slope * (high.step_size - low.step_size) >= 0)
    new_low = select(worse, low, trial)
    new_high = select(worse, trial, select(turned, low, high))
    first = select(search.second_is_low, new_high, new_low)
    second = select(search.second_is_low, new_low, new_high)
    return search._replace(
        first=first,
        second=second,
        # A trial too high for its step may still be lower than the low end.
        second_is_low=jnp.where(
            worse, _second_is_low(first, second), search.second_is_low
        ),
        trials=search.trials + 1,
        done=solved,
    )


def _divide(search: Search) -> Search:
    """Choose the next trial within the bracket, or give up."""
    ends = search.first.step_size, search.second.step_size
    left, right = jnp.minimum(*ends), jnp.maximum(*ends)
    width = right - left
    step_size = _cubic_minimum(search.first, search.second, left, right)
    margin = MARGIN * width
    near = jnp.minimum(right - step_size, step_size - left) < margin
    outside = (step_size >= right) | (step_size <= left)
    # The second consecutive trial that is close to an end is moved away from it.
    moved = near & (search.stalled | outside)
    inside = jnp.where(
        jnp.abs(step_size - right) < jnp.abs(step_size - left),
        right - margin,
        left + margin,
    )
    return search._replace(
        step_size=jnp.where(moved, inside, step_size),
        stalled=near & ~moved,
        done=search.done
        | (search.trials >= search.most)
        | (width * search.span < SHORTEST),
    )


def _is_too_high(search: Search, trial: Point) -> Array:
    start = search.start
    return trial.value > start.value + DECREASE * trial.step_size * start.slope


def _is_flat(search: Search, trial: Point) -> Array:
    return jnp.abs(trial.slope) <= -CURVATURE * search.start.slope


def _second_is_low(first: Point, second: Point) -> Array:
    return ~(first.value <= second.value)


def _cubic_minimum(first: Point, second: Point, least: Array, most: Array) -> Array:
    """The minimum of the cubic through two points with their slopes.

    It is kept in ``[least, most]``; for a cubic without a minimum, the middle of that.
    """
    chord = 3 * (first.value - second.value) / (first.step_size - second.step_size)
    bend = first.slope + second.slope - chord
    discriminant = bend * bend - first.slope * second.slope
    exists = discriminant >= 0
    root = jnp.sqrt(jnp.where(exists, discriminant, 0))
    ordered = first.step_size <= second.step_size
    near, far = select(ordered, (first, second), (second, first))
    share = (far.slope + root - bend) / (far.slope - near.slope + 2 * root)
    minimum = far.step_size - (far.step_size - near.step_size) * share
    return jnp.where(exists, jnp.clip(minimum, least, most), (least + most) / 2)
