"""Limited-memory BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_choice, check_integer, check_range
from .._dataclass import static
from .._gradients import dense_gradient, strongly_typed, value_and_gradient
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import as_scalar, increment
from .._placement import laid_like, whole, zeros_of_vectors
from .._state import Concatenated, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree, select
from ..transforms._line import Point
from ._assemble import assemble
from ._factory import factory
from ._flat import check_pairs_fit, flat_dtype, flat_sizes, flat_vector, moved
from ._lbfgs_pairs import Pairs, dot, remember, two_loops
from ._strong_wolfe import Search, advance, start_search

# A pair with less curvature than this would distort the estimate of the Hessian.
LEAST_CURVATURE = 1e-10


class StepByLbfgsState(NamedTuple):
    """State of `step_by_lbfgs`.

    The vectors hold all N numbers of the parameters, leaf after leaf, and a complex
    number as its real and imaginary parts. The pairs are in a ring buffer: pair ``i``
    is row ``i % history_size`` of ``old_dirs``, ``old_stps``, ``ro`` and ``al``, and
    the last ``min(num_pairs, history_size)`` pairs are in use.

    **Fields:**

    - ``func_evals``: int32 [], evaluations of the function so far.
    - ``n_iter``: int32 [], iterations so far.
    - ``al``: [history_size], coefficients of the last backward recursion.
    - ``d``: [N], direction of the last iteration.
    - ``t``: [], its step size.
    - ``old_dirs``: [history_size, N], changes of the gradient.
    - ``old_stps``: [history_size, N], changes of the parameters.
    - ``ro``: [history_size], 1 / their products.
    - ``H_diag``: [], scale of the initial inverse Hessian.
    - ``prev_flat_grad``: [N], gradient where the last iteration began.
    - ``prev_loss``: [], value there.
    - ``num_pairs``: int32 [], pairs stored so far.
    """

    func_evals: Shared
    n_iter: Shared
    al: Shared
    d: Concatenated
    t: Shared
    old_dirs: Concatenated
    old_stps: Concatenated
    ro: Shared
    H_diag: Shared
    prev_flat_grad: Concatenated
    prev_loss: Shared
    num_pairs: Shared


class _Progress(NamedTuple):
    """The progress of one update, between two evaluations."""

    params: PyTree  # where the current iteration began
    trial: PyTree  # where the function is evaluated next
    state: StepByLbfgsState
    search: Search | None
    n_iter: Array  # int32 [], iterations of this update
    evals: Array  # int32 [], evaluations of this update
    stopped: Array  # bool []


@elementwise()
def _difference(updates: Array, new_params: Array, params: Array) -> Array:
    return new_params - params


def _largest(vector: Array) -> Array:
    return jnp.max(jnp.abs(vector), initial=0)


def _first_size(grad: Array) -> Array:
    """``min(1, 1 / sum(|g|))``, and 1 for a gradient that is not finite."""
    size = 1 / as_scalar(jnp.sum(jnp.abs(grad)))
    return jnp.where(size < 1, size, 1)


def _pairs(state: StepByLbfgsState) -> Pairs:
    return Pairs(state.old_dirs, state.old_stps, state.ro, state.num_pairs)


def _learned(state: StepByLbfgsState, grad: Array, wanted: Array) -> StepByLbfgsState:
    """Store the curvature found in the last iteration, if ``wanted``."""
    y = grad - state.prev_flat_grad
    s = state.d * state.t.astype(state.d.dtype)
    product = dot(y, s)
    stored = wanted & (product > LEAST_CURVATURE)
    pairs, scale = remember(_pairs(state), y, s, product, stored)
    scale = jnp.where(stored, scale, state.H_diag)
    return state._replace(H_diag=scale, **pairs._asdict())


@transformation
class step_by_lbfgs(GradientTransformation):
    """Minimize a function by up to ``max_iter`` iterations of L-BFGS.

    The rule: see `lbfgs`.

    **Arguments:**

    - ``lr``, ``max_iter``, ``max_eval``, ``tolerance_grad``, ``tolerance_change``,
      ``history_size``, ``line_search_fn``: see `lbfgs`.

    **State:** `StepByLbfgsState`.

    **Raises:** what `lbfgs` does.
    """

    lr: Value = 1.0
    max_iter: int = static(default=20)
    max_eval: int | None = static(default=None)
    tolerance_grad: Value = 1e-7
    tolerance_change: Value = 1e-9
    history_size: int = static(default=100)
    line_search_fn: str | None = static(default=None)

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_integer("max_iter", self.max_iter, at_least=1)
        if self.max_eval is not None:
            check_integer("max_eval", self.max_eval, at_least=1)
        check_range("tolerance_grad", self.tolerance_grad)
        check_range("tolerance_change", self.tolerance_change)
        check_integer("history_size", self.history_size, at_least=1)
        check_choice("line_search_fn", self.line_search_fn, (None, "strong_wolfe"))

    def init(self, params: PyTree) -> StepByLbfgsState:
        dtype, length = flat_dtype(params), sum(flat_sizes(params))
        # Each field is a separate array, so that the state can be donated.
        return StepByLbfgsState(
            func_evals=jnp.zeros((), jnp.int32),
            n_iter=jnp.zeros((), jnp.int32),
            al=jnp.zeros(self.history_size, dtype),
            d=zeros_of_vectors(params, (length,), dtype),
            t=as_scalar(0),
            old_dirs=zeros_of_vectors(params, (self.history_size, length), dtype),
            old_stps=zeros_of_vectors(params, (self.history_size, length), dtype),
            ro=jnp.zeros(self.history_size, dtype),
            H_diag=jnp.ones((), dtype),
            prev_flat_grad=zeros_of_vectors(params, (length,), dtype),
            prev_loss=as_scalar(0),
            num_pairs=jnp.zeros((), jnp.int32),
        )

    def update(  # type: ignore[override]  # what it needs is required
        self,
        updates: PyTree,
        state: StepByLbfgsState,
        params: PyTree | None = None,
        *,
        value_fn: Callable[[PyTree], Array],
        value: Any = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByLbfgsState]:
        params = jax.tree.map(strongly_typed, require_params(params, params, "lbfgs"))
        gradient = dense_gradient(updates, params)
        check_pairs_fit(state.old_dirs, params, self.history_size)

        def evaluate(point: PyTree) -> tuple[Array, Array]:
            found, grad = value_and_gradient(value_fn)(point)
            return as_scalar(found), flat_vector(grad, state.d.dtype)

        def body(progress: _Progress) -> _Progress:
            if value is None:
                found = evaluate(progress.trial)
            else:
                given = as_scalar(value), flat_vector(gradient, state.d.dtype)
                first = progress.evals == 0
                found = lax.cond(first, lambda _: given, evaluate, progress.trial)
            return self.advance(progress, *found)

        end = lax.while_loop(
            lambda progress: ~progress.stopped, body, self.start(state, params)
        )
        new = jax.tree.map(laid_like, end.state, state)
        return _difference(gradient, end.params, params), new

    def start(self, state: StepByLbfgsState, params: PyTree) -> _Progress:
        """An update before its first evaluation.

        With `advance`, it forms the loop of `update`, for a caller that evaluates the
        function itself.

        **Arguments:**

        - ``state``: the state before the update.
        - ``params``: where the first evaluation is.

        **Returns:** the argument of `advance`: evaluate at ``trial`` until ``stopped``.
        """
        none = jnp.zeros((), jnp.int32)
        state, search = jax.tree.map(whole, state), None
        if self.line_search_fn is not None:
            # Only its structure counts: the first iteration starts a search.
            nowhere = Point(state.t, state.prev_loss, state.prev_loss, state.d)
            search = start_search(nowhere, state.t, state.t, none)
        return _Progress(params, params, state, search, none, none, none != none)

    def advance(self, progress: _Progress, value: Array, grad: Array) -> _Progress:
        """Process the evaluation at ``progress.trial``, and choose the next trial.

        **Arguments:**

        - ``progress``: the result of `start` or of the last call.
        - ``value``: the value at ``progress.trial``.
        - ``grad``: the gradient there, as one vector.

        **Returns:** the next ``progress``. Once it has ``stopped``, its ``params`` are
        where the update ends and its ``state`` is the next one.

        The same code handles the first evaluation of an update, those within a line
        search and those that end an iteration: ``opening``, ``arrived`` and ``begun``
        say which changes apply. So the function and the recursion occur only once in
        the program.
        """
        state, search, params = progress.state, progress.search, progress.params
        opening = progress.evals == 0
        evals = progress.evals + 1
        max_iter, max_eval = self.max_iter, self.max_eval
        if max_eval is None:
            max_eval = max_iter * 5 // 4

        if search is None:
            arrived = jnp.ones((), bool)
            params, t = progress.trial, state.t
        else:
            slope = as_scalar(dot(grad, state.d))
            search = advance(search, value, slope, grad)
            found = search.done & ~opening
            arrived = search.done | opening
            best = search.best()
            t, value, grad = select(
                found, (best.step_size, best.value, best.grad), (state.t, value, grad)
            )
            params = select(found, moved(params, t, state.d), params)

        tolerance_change = as_scalar(self.tolerance_change)
        change = as_scalar(_largest(state.d * t.astype(state.d.dtype)))
        stopped = (progress.n_iter >= max_iter) | (evals >= max_eval)
        stopped |= change <= tolerance_change
        stopped |= jnp.abs(value - state.prev_loss) < tolerance_change
        stopped &= ~opening
        stopped |= as_scalar(_largest(grad)) <= as_scalar(self.tolerance_grad)
        stopped &= arrived
        begun = arrived & ~stopped

        # The next iteration, which changes nothing unless it is begun.
        state = _learned(
            state._replace(func_evals=increment(state.func_evals), t=t), grad, begun
        )
        d, al = two_loops(_pairs(state), -grad, state.H_diag, state.al, begun)
        slope = as_scalar(dot(grad, d))
        first_size = jnp.where(state.n_iter == 0, _first_size(grad), 1)
        changes = {
            "n_iter": increment(state.n_iter),
            "al": al,
            "d": d,
            "t": as_scalar(self.lr) * first_size,
            "prev_flat_grad": grad,
            "prev_loss": value,
        }
        old = {name: getattr(state, name) for name in changes}
        state = state._replace(**select(begun, changes, old))
        n_iter = jnp.where(begun, progress.n_iter + 1, progress.n_iter)
        # Too flat to continue: as in torch, the direction stays in the state, untried.
        stopped |= begun & (slope > -tolerance_change)

        t = state.t
        if search is not None:
            start = Point(jnp.zeros_like(t), value, slope, grad)
            span = as_scalar(_largest(state.d))
            search = select(
                begun, start_search(start, t, span, max_eval - evals), search
            )
            t = search.step_size
        trial = moved(params, t, state.d)
        if search is None:
            # The end of the last step is not evaluated: the next update does that.
            last = ~stopped & (n_iter >= max_iter)
            params = select(last, trial, params)
            stopped |= last
        return _Progress(params, trial, state, search, n_iter, evals, stopped)


@factory
def lbfgs(
    lr: Hyperparameter = 1.0,
    max_iter: int = 20,
    max_eval: int | None = None,
    tolerance_grad: Hyperparameter = 1e-7,
    tolerance_change: Hyperparameter = 1e-9,
    history_size: int = 100,
    line_search_fn: str | None = None,
) -> GradientTransformation:
    """`torch.optim.LBFGS`: Newton's method with a Hessian estimated from recent steps.

    One update is a small minimization: it evaluates ``value_fn`` at several points, in
    one compiled loop, until a limit or a tolerance is met. One iteration, with the
    pairs ``s = p_k - p_{k-1}``, ``y = g_k - g_{k-1}`` of the last ``history_size``
    iterations with ``y.s > 1e-10``::

        d = -H g,  where H starts as (y.s / y.y) I of the last pair (I without pairs)
                   and takes in each pair, the oldest first:
                   H = (I - s y^T / y.s) H (I - y s^T / y.s) + s s^T / y.s
        t = lr,  in the first iteration of all  lr * min(1, 1 / sum(|g|))
        stop if  g.d > -tolerance_change
        with a line search: t from the search that begins with t
        p = p + t * d
        stop after max_iter iterations or max_eval evaluations, or if max(|g|) <=
        tolerance_grad, max(|t * d|) <= tolerance_change or the value changed by less
        than tolerance_change

    The update takes the function as an extra argument::

        @jax.jit
        def step(params, state):
            updates, state = tx.update(params, state, params, value_fn=loss)
            return of.apply_updates(params, updates), state

    - ``value_fn``: a function of the parameters that returns a real scalar. It is
      evaluated, with its gradient, at ``params`` first.
    - ``value``: the value at ``params``, if known. Then it and ``updates`` (the
      gradient, where None means zeros) replace this first evaluation, which still
      counts. Without it, only the structure of ``updates`` matters.

    The updates lead from ``params`` to the point found. Members before `lbfgs` in a
    chain see only the first gradient of each update; members after it change the step
    without the state knowing.

    **Arguments:**

    - ``lr``: size of each step, or with a line search of its first trial.
    - ``max_iter``: the maximum number of iterations per update.
    - ``max_eval``: the number of evaluations after which an update ends (by default
      ``max_iter * 5 // 4``).
    - ``tolerance_grad``, ``tolerance_change``: see above.
    - ``history_size``: the maximum number of pairs to keep.
    - ``line_search_fn``: None or ``"strong_wolfe"``.

    The learning rate and the tolerances may be arrays or schedules (of the number of
    updates).

    **State:** `StepByLbfgsState`: vectors of all N numbers of the parameters in their
    widest real dtype and at least float32, and ``2 * history_size`` such vectors.
    Donate the state to a jitted function to have it updated in place.

    **Complex parameters:** real and imaginary parts are separate parameters, as in
    torch. ``updates`` is the conjugate of `jax.grad`'s result; ``value_fn`` is
    differentiated accordingly.

    **Raises:** `ValueError` for a number out of range or an unknown line search; at
    `update` `TypeError` if ``value_fn`` is missing, and `ValueError` if ``params`` is
    missing, if ``updates`` differs from it in structure or shape, or if the state is
    that of other parameters.

    **Source:** Liu and Nocedal, "On the limited memory BFGS method for large scale
    optimization", Math. Programming 45, 1989,
    [doi:10.1007/BF01589116](https://doi.org/10.1007/BF01589116).
    """
    step = step_by_lbfgs(
        lr,
        max_iter,
        max_eval,
        tolerance_grad,
        tolerance_change,
        history_size,
        line_search_fn,
    )
    return assemble(step, lr=None)
