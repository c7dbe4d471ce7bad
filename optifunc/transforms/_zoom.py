"""A line search for the strong Wolfe conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_choice, check_known_range, check_whole
from .._dataclass import static
from .._hyperparameters import Value
from .._numerics import as_scalar
from .._placement import zeros_like
from .._state import PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, select
from ._line import Line, Point, line_along

# The minimal distance of a trial from the ends of the bracket, as a fraction of it: for
# the cubic and for the parabola. Otherwise, the bracket is halved.
CUBIC_MARGIN, PARABOLA_MARGIN = 0.2, 0.1


class ZoomLinesearchInfo(NamedTuple):
    """How the last search of `scale_by_zoom_linesearch` ended.

    **Fields:**

    - ``num_linesearch_steps``: int32 [], evaluations of value and gradient.
    - ``decrease_error``: float [], how far the step misses the condition on the value;
      infinite where the function is not finite.
    - ``curvature_error``: float [], how far it misses the condition on the slope.
    - ``failed``: bool [], whether ``decrease_error`` is more than ``tol``. A step that
      misses only the condition on the slope still lowers the value.
    """

    num_linesearch_steps: Shared
    decrease_error: Shared
    curvature_error: Shared
    failed: Shared


class ScaleByZoomLinesearchState(NamedTuple):
    """State of `scale_by_zoom_linesearch`.

    **Fields:**

    - ``learning_rate``: float [], the last step size.
    - ``value``: float [], the value at the end of the last step; infinite before it.
    - ``grad``: the gradient there, for `value_and_grad_from_state`.
    - ``info``: `ZoomLinesearchInfo`.
    """

    learning_rate: Shared
    value: Shared
    grad: PerParameter
    info: ZoomLinesearchInfo


class _Bracket(NamedTuple):
    """Two ends, the low one being better, and a third point for interpolation."""

    low: Point
    high: Point
    third: Point


class _Zoom(NamedTuple):
    """The state of a search. Only ``last`` and ``safe`` have gradients."""

    step_size: Array  # the step to evaluate next
    last: Point  # the last trial
    safe: Point  # the best trial with enough decrease; at step 0: none so far
    bracket: _Bracket
    trials: Array  # int32 []
    zooming: Array  # bool []: the bracket is known
    done: Array  # bool []


def _without_grad(point: Point) -> Point:
    return point._replace(grad=None)


def _middle(bracket: _Bracket) -> Array:
    """The next trial in a bracket: from the cubic, the parabola, or the middle."""
    low, high = bracket.low, bracket.high
    ends = low.step_size, high.step_size
    left, right = jnp.minimum(*ends), jnp.maximum(*ends)

    def is_inside(step_size: Array, margin: float) -> Array:
        space = margin * (right - left)
        # False for NaN.
        return (step_size > left + space) & (step_size < right - space)

    cubic, parabola = _cubic_trial(bracket), _parabolic_trial(low, high)
    halved = (left + right) / 2
    step_size = jnp.where(is_inside(parabola, PARABOLA_MARGIN), parabola, halved)
    return jnp.where(is_inside(cubic, CUBIC_MARGIN), cubic, step_size)


def _parabolic_trial(low: Point, high: Point) -> Array:
    """The minimum of the parabola through ``low``, with its slope, and ``high``."""
    width = high.step_size - low.step_size
    bend = (high.value - low.value - low.slope * width) / (width * width)
    return low.step_size - low.slope / (2 * bend)


def _cubic_trial(bracket: _Bracket) -> Array:
    """The minimum of the cubic through ``low``, with its slope, and the other two."""
    low, high, third = bracket
    x, z = high.step_size - low.step_size, third.step_size - low.step_size
    # The values minus the tangent, divided by the squares, are linear.
    over_x = (high.value - low.value - low.slope * x) / (x * x)
    over_z = (third.value - low.value - low.slope * z) / (z * z)
    third_order = (over_x - over_z) / (x - z)
    second_order = over_x - third_order * x
    root = jnp.sqrt(second_order * second_order - 3 * third_order * low.slope)
    # The same number twice; for a parabola, only the first has a value.
    change = jnp.where(
        second_order > 0,
        -low.slope / (second_order + root),
        (root - second_order) / (3 * third_order),
    )
    return low.step_size + change


@transformation
class scale_by_zoom_linesearch(GradientTransformation):
    """Find a step that meets the strong Wolfe conditions.

    ::

        f(p + t*u) <= f(p) + slope_rtol * t * <u, g> + tol    (enough decrease)
        |<u, g(p + t*u)>| <= curv_rtol * |<u, g>| + tol       (flat enough)
        u = t * u

    First, the step is lengthened until two trials must enclose such a point. Then the
    interval between them is narrowed, by cubic interpolation where that is safe. Near a
    minimum, where values can no longer be distinguished, a condition on the slope
    replaces the first one (Hager and Zhang): ``<u, g(p + t*u)> <= (2 * slope_rtol -
    1) * <u, g>``, if the value has risen by no more than ``approx_dec_rtol * |f(p)|``.

    It follows a direction or an optimizer and chooses its learning rate. Updates that
    point uphill, like those of ``scale_by_...``, are negated first, so do not put
    ``scale_by_learning_rate`` before it::

        search = of.scale_by_zoom_linesearch(initial_guess_strategy="one")
        tx = of.chain(of.scale_by_lbfgs(), search)
        updates, state = tx.update(
            grads, state, params, value=loss, grad=grads, value_fn=loss_fn
        )

    - ``value_fn``: the function to minimize. Its arguments other than the parameters
      are taken from the extra arguments of the update, by name.
    - ``value``, ``grad``: its value and gradient at ``params``. They are computed if
      you do not pass them; `value_and_grad_from_state` takes them from the state.

    A search that ends before both conditions hold takes the best step with enough
    decrease. If there is none, ``state.info.failed`` is True. The last step is then
    taken anyway, unless the function is not finite there; in that case, the parameters
    do not change, and the next search starts with 1.

    **Arguments:**

    - ``max_linesearch_steps``: the maximum number of evaluations per search, at least
      1.
    - ``max_learning_rate``: the longest step, above 0; None: no limit.
    - ``tol``: tolerance of both conditions, at least 0.
    - ``increase_factor``: the factor by which the step is lengthened at a time, above
      1.
    - ``slope_rtol``: see above, in (0, 1).
    - ``curv_rtol``: see above, above 0, and above ``slope_rtol`` so that such steps
      exist. Infinite: only the first condition.
    - ``approx_dec_rtol``: see above, at least 0; None: always use the first condition.
    - ``stepsize_precision``: an interval of this width or less, in units of the step
      size, is not narrowed further, if a step with enough decrease is known; at
      least 0.
    - ``initial_guess_strategy``: the first trial step: ``"keep"``, the last step, for
      gradient descent; ``"one"``, 1, for L-BFGS and other Newton-like directions.

    **State:** `ScaleByZoomLinesearchState`.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range; at `update`, `TypeError` if
    ``value_fn`` is missing, and `ValueError` if ``params`` is missing or trees differ
    in structure or shape.

    **Source:** Nocedal and Wright, "Numerical Optimization", 2006, algorithms 3.5 and
    3.6; Hager and Zhang, "Algorithm 851: CG_DESCENT", ACM Trans. Math. Softw. 32, 2006,
    [doi:10.1145/1132973.1132979](https://doi.org/10.1145/1132973.1132979); in optax's
    form.
    """

    max_linesearch_steps: Value = 20
    max_learning_rate: Value | None = None
    tol: Value = 0.0
    increase_factor: Value = 2.0
    slope_rtol: Value = 1e-4
    curv_rtol: Value = 0.9
    approx_dec_rtol: Value | None = 1e-6
    stepsize_precision: Value = 1e-5
    initial_guess_strategy: Literal["keep", "one"] = static(default="keep")

    def __post_init__(self) -> None:
        check_whole("max_linesearch_steps", self.max_linesearch_steps, at_least=1)
        if self.max_learning_rate is not None:
            check_known_range("max_learning_rate", self.max_learning_rate, above=0)
        check_known_range("tol", self.tol, at_least=0)
        check_known_range("increase_factor", self.increase_factor, above=1)
        check_known_range("slope_rtol", self.slope_rtol, above=0, below=1)
        check_known_range("curv_rtol", self.curv_rtol, above=0)
        if self.approx_dec_rtol is not None:
            check_known_range("approx_dec_rtol", self.approx_dec_rtol, at_least=0)
        check_known_range("stepsize_precision", self.stepsize_precision, at_least=0)
        check_choice(
            "initial_guess_strategy", self.initial_guess_strategy, ("keep", "one")
        )

    def init(self, params: PyTree) -> ScaleByZoomLinesearchState:
        return ScaleByZoomLinesearchState(
            learning_rate=as_scalar(1),
            value=as_scalar(jnp.inf),
            grad=zeros_like(params),
            info=ZoomLinesearchInfo(
                num_linesearch_steps=jnp.zeros((), jnp.int32),
                decrease_error=as_scalar(jnp.inf),
                curvature_error=as_scalar(jnp.inf),
                failed=jnp.zeros((), bool),
            ),
        )

    def update(  # type: ignore[override]  # what it needs is required
        self,
        updates: PyTree,
        state: ScaleByZoomLinesearchState,
        params: PyTree | None = None,
        *,
        value_fn: Callable[..., Any],
        value: Any = None,
        grad: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByZoomLinesearchState]:
        line = line_along(
            updates, params, value_fn, value, grad, extra, "scale_by_zoom_linesearch"
        )
        guess = jnp.ones_like(state.learning_rate)
        if self.initial_guess_strategy == "keep":
            guess = jnp.where(state.learning_rate > 0, state.learning_rate, guess)
        end: _Zoom = lax.while_loop(
            lambda search: ~search.done,
            lambda search: self._advance(
                line.start, search, line.evaluate(search.step_size)
            ),
            self._first(line, guess),
        )
        return self._ended(line, end)

    def _first(self, line: Line, guess: Array) -> _Zoom:
        start = _without_grad(line.start)
        no, none = jnp.zeros((), bool), jnp.zeros((), jnp.int32)
        return _Zoom(
            step_size=self._bounded(guess),
            last=line.start,
            safe=line.start,
            bracket=_Bracket(start, start, start),
            trials=none,
            zooming=no,
            done=no,
        )

    def _bounded(self, step_size: Array) -> Array:
        if self.max_learning_rate is None:
            return step_size
        return jnp.minimum(step_size, as_scalar(self.max_learning_rate))

    def _decrease_error(self, start: Point, trial: Point) -> Array:
        """How far the condition on the value is missed."""
        share = as_scalar(self.slope_rtol)
        risen = trial.value - start.value
        error = risen - share * trial.step_size * start.slope
        if self.approx_dec_rtol is not None:
            by_slope = trial.slope - (2 * share - 1) * start.slope
            allowed = as_scalar(self.approx_dec_rtol) * jnp.abs(start.value)
            error = jnp.minimum(error, jnp.maximum(by_slope, risen - allowed))
        return jnp.where(jnp.isnan(error), jnp.inf, jnp.maximum(error, 0))

    def _curvature_error(self, start: Point, trial: Point) -> Array:
        """How far the condition on the slope is missed."""
        allowed = as_scalar(self.curv_rtol) * jnp.abs(start.slope)
        error = jnp.abs(trial.slope) - allowed
        return jnp.where(jnp.isnan(error), jnp.inf, jnp.maximum(error, 0))

    def _advance(self, start: Point, search: _Zoom, trial: Point) -> _Zoom:
        """Process a trial: end the search, or choose the next step."""
        decrease_error = self._decrease_error(start, trial)
        curvature_error = self._curvature_error(start, trial)
        too_high = decrease_error > 0
        has_decrease = decrease_error <= as_scalar(self.tol)
        solved = has_decrease & (curvature_error <= as_scalar(self.tol))

        # Among the trials that lengthen the step, the last one counts.
        is_best = has_decrease & (~search.zooming | (trial.value < search.safe.value))
        safe = select(is_best, trial, search.safe)
        trials = search.trials + 1

        point = _without_grad(trial)
        found, bracket = _opened(search, point, too_high)
        bracket = select(search.zooming, _narrowed(search, point, too_high), bracket)
        zooming = search.zooming | found | solved

        longer = self._bounded(as_scalar(self.increase_factor) * trial.step_size)
        width = jnp.abs(search.bracket.high.step_size - search.bracket.low.step_size)
        too_narrow = (width <= as_scalar(self.stepsize_precision)) & (
            safe.step_size > 0
        )
        done = solved | (trials >= self.max_linesearch_steps)
        done |= search.zooming & too_narrow
        if self.max_learning_rate is not None:
            reached = trial.step_size >= as_scalar(self.max_learning_rate)
            done |= reached & ~zooming
        return _Zoom(
            step_size=jnp.where(zooming, _middle(bracket), longer),
            last=trial,
            safe=safe,
            bracket=bracket,
            trials=trials,
            zooming=zooming,
            done=done,
        )

    def _ended(
        self, line: Line, end: _Zoom
    ) -> tuple[PyTree, ScaleByZoomLinesearchState]:
        """The updates of a search that is done, and the state."""
        tol = as_scalar(self.tol)
        last_solves = (self._decrease_error(line.start, end.last) <= tol) & (
            self._curvature_error(line.start, end.last) <= tol
        )
        known_safe = end.safe.step_size > 0
        point = select(known_safe & ~last_solves, end.safe, end.last)
        decrease_error = self._decrease_error(line.start, point)
        curvature_error = self._curvature_error(line.start, point)
        # Non-finite values never reach the parameters.
        outside = jnp.isinf(decrease_error)
        taken = select(outside, line.start, point)
        return line.update(taken.step_size), ScaleByZoomLinesearchState(
            learning_rate=taken.step_size,
            value=taken.value,
            grad=taken.grad,
            info=ZoomLinesearchInfo(
                num_linesearch_steps=end.trials,
                decrease_error=decrease_error,
                curvature_error=curvature_error,
                failed=~(decrease_error <= tol),
            ),
        )


def _opened(search: _Zoom, trial: Point, too_high: Array) -> tuple[Array, _Bracket]:
    """Whether the last two trials enclose a solution, and their bracket."""
    previous = _without_grad(search.last)
    too_high |= (trial.value >= previous.value) & (search.trials > 0)
    turned = ~too_high & (trial.slope >= 0)
    low = select(turned, trial, previous)
    high = select(turned, previous, trial)
    # There is no third point yet: the cubic is undefined, so use the parabola.
    return too_high | turned, _Bracket(low, high, low)


def _narrowed(search: _Zoom, trial: Point, too_high: Array) -> _Bracket:
    """The bracket with the trial as one of its ends."""
    low, high, _ = search.bracket
    too_high |= trial.value >= low.value
    # If the function rises from the trial toward the high end, the solution is on the #
    # other side, toward the old low end.
    turned = ~too_high & (trial.slope * (high.step_size - low.step_size) >= 0)
    return _Bracket(
        low=select(too_high, low, trial),
        high=select(too_high, trial, select(turned, low, high)),
        third=select(too_high | turned, high, low),
    )
