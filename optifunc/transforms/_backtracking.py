"""A line search that shortens the step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_known_range, check_whole
from .._dataclass import static
from .._hyperparameters import Value
from .._numerics import as_scalar
from .._placement import zeros_like
from .._state import PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ._line import Line, line_along


class BacktrackingLinesearchInfo(NamedTuple):
    """How the last search of `scale_by_backtracking_linesearch` ended.

    **Fields:**

    - ``num_linesearch_steps``: int32 [], evaluations.
    - ``decrease_error``: float [], how far the decrease falls short of the required
      one; infinite where the function is not finite.
    - ``failed``: bool [], whether that is more than ``atol``.
    """

    num_linesearch_steps: Shared
    decrease_error: Shared
    failed: Shared


class ScaleByBacktrackingLinesearchState(NamedTuple):
    """State of `scale_by_backtracking_linesearch`.

    **Fields:**

    - ``learning_rate``: float [], the last step size.
    - ``value``: float [], the value at the end of the last step; infinite before it.
    - ``grad``: the gradient there, for `value_and_grad_from_state`; None without
      ``store_grad``.
    - ``info``: `BacktrackingLinesearchInfo`.
    """

    learning_rate: Shared
    value: Shared
    grad: PerParameter | None
    info: BacktrackingLinesearchInfo


class _Trial(NamedTuple):
    """The last step that was tried."""

    step_size: Array
    value: Array
    error: Array
    number: Array  # int32 [], of evaluations


@transformation
class scale_by_backtracking_linesearch(GradientTransformation):
    """Shorten the step until the loss falls enough (Armijo's condition).

    ::

        t = min(increase_factor * t, max_learning_rate)
        t = decrease_factor * t  until
            f(p + t*u) <= (1 + rtol) * f(p) + slope_rtol * t * <u, g> + atol
        u = t * u

    It follows a direction or an optimizer and chooses its learning rate. Updates that
    point uphill, like those of ``scale_by_...``, are negated first, so do not put
    ``scale_by_learning_rate`` before it::

        tx = of.chain(of.scale_by_adam(), of.scale_by_backtracking_linesearch())
        updates, state = tx.update(
            grads, state, params, value=loss, grad=grads, value_fn=loss_fn
        )

    - ``value_fn``: the function to minimize. Its arguments other than the parameters
      are taken from the extra arguments of the update, by name.
    - ``value``, ``grad``: its value and gradient at ``params``. They are computed if
      you do not pass them. See also `value_and_grad_from_state`.

    The first search starts with ``t = 1``. A search fails if no step within
    ``max_backtracking_steps`` reductions meets the condition; then
    ``state.info.failed`` is True. The last step is taken anyway, unless the function is
    not finite there: then the parameters do not change, and the next search starts with
    ``max_learning_rate``.

    **Arguments:**

    - ``max_backtracking_steps``: the maximum number of reductions per search, at least
      0.
    - ``slope_rtol``: the fraction of the initial slope that must be realized, in (0,
      1).
    - ``decrease_factor``: the factor of a step that is too long, in (0, 1).
    - ``increase_factor``: the ratio of the first trial step to the last step taken, at
      least 1; infinite: it is ``max_learning_rate`` each time.
    - ``max_learning_rate``: the longest step, above 0.
    - ``atol``, ``rtol``: how much the value may rise, absolutely and relative to it, at
      least 0, for a noisy loss.
    - ``store_grad``: keep the gradient at the end of the step, for
      `value_and_grad_from_state`. It costs one more evaluation, which the next step
      saves.

    **State:** `ScaleByBacktrackingLinesearchState`.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range; at `update`, `TypeError` if
    ``value_fn`` is missing, and `ValueError` if ``params`` is missing or trees differ
    in structure or shape.

    **Source:** Vaswani et al., "Painless Stochastic Gradient: Interpolation,
    Line-Search, and Convergence Rates", 2019,
    [arXiv:1905.09997](https://arxiv.org/abs/1905.09997); in optax's form.
    """

    max_backtracking_steps: Value = 30
    slope_rtol: Value = 1e-4
    decrease_factor: Value = 0.8
    increase_factor: Value = 1.5
    max_learning_rate: Value = 1.0
    atol: Value = 0.0
    rtol: Value = 0.0
    _: dataclasses.KW_ONLY
    store_grad: bool = static(default=False)

    def __post_init__(self) -> None:
        check_whole("max_backtracking_steps", self.max_backtracking_steps, at_least=0)
        check_known_range("slope_rtol", self.slope_rtol, above=0, below=1)
        check_known_range("decrease_factor", self.decrease_factor, above=0, below=1)
        check_known_range("increase_factor", self.increase_factor, at_least=1)
        check_known_range("max_learning_rate", self.max_learning_rate, above=0)
        check_known_range("atol", self.atol, at_least=0)
        check_known_range("rtol", self.rtol, at_least=0)

    def init(self, params: PyTree) -> ScaleByBacktrackingLinesearchState:
        return ScaleByBacktrackingLinesearchState(
            learning_rate=as_scalar(1),
            value=as_scalar(jnp.inf),
            grad=zeros_like(params) if self.store_grad else None,
            info=BacktrackingLinesearchInfo(
                num_linesearch_steps=jnp.zeros((), jnp.int32),
                decrease_error=as_scalar(jnp.inf),
                failed=jnp.zeros((), bool),
            ),
        )

    def update(  # type: ignore[override]  # what it needs is required
        self,
        updates: PyTree,
        state: ScaleByBacktrackingLinesearchState,
        params: PyTree | None = None,
        *,
        value_fn: Callable[..., Any],
        value: Any = None,
        grad: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByBacktrackingLinesearchState]:
        line = line_along(
            updates,
            params,
            value_fn,
            value,
            grad,
            extra,
            "scale_by_backtracking_linesearch",
        )
        end = self._search(line, state.learning_rate)
        # Non-finite values never reach the parameters.
        step_size = jnp.where(jnp.isinf(end.error), 0, end.step_size)
        return line.update(step_size), ScaleByBacktrackingLinesearchState(
            learning_rate=step_size,
            value=jnp.where(jnp.isinf(end.error), line.start.value, end.value),
            grad=line.evaluate(step_size).grad if self.store_grad else None,
            info=BacktrackingLinesearchInfo(
                num_linesearch_steps=end.number,
                decrease_error=end.error,
                failed=~(end.error <= as_scalar(self.atol)),
            ),
        )

    def _search(self, line: Line, last: Array) -> _Trial:
        """The last trial."""
        most = as_scalar(self.max_learning_rate)
        # A step of 0 says nothing about the next one.
        first = jnp.minimum(as_scalar(self.increase_factor) * last, most)
        first = jnp.where(last > 0, first, most)
        allowed = (1 + as_scalar(self.rtol)) * line.start.value
        slope = as_scalar(self.slope_rtol) * line.start.slope

        def goes_on(trial: _Trial) -> Array:
            accepted = trial.error <= as_scalar(self.atol)
            more: Array = ~accepted & (trial.number <= self.max_backtracking_steps)
            return more

        def body(trial: _Trial) -> _Trial:
            shorter = as_scalar(self.decrease_factor) * trial.step_size
            step_size = jnp.where(trial.number > 0, shorter, trial.step_size)
            value = line.value(step_size)
            error = value - allowed - step_size * slope
            error = jnp.where(jnp.isnan(error), jnp.inf, jnp.maximum(error, 0))
            return _Trial(step_size, value, error, trial.number + 1)

        start = _Trial(
            first, line.start.value, as_scalar(jnp.inf), jnp.zeros((), jnp.int32)
        )
        end: _Trial = lax.while_loop(goes_on, body, start)
        return end
