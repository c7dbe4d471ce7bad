"""optax's L-BFGS and line searches on top of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from ..._dataclass import child
from ..._foreign_state import foreign_state
from ..._placement import zeros_like
from ..._transformation import Child, State, transformation
from ..._tree import PyTree, leaf_dtype
from ...optimizers import _lbfgs_direction
from ...optimizers._flat import flat_dtype, flat_vector, unflattened
from ...transforms import _backtracking, _zoom
from ...wrappers._chain import chain as our_chain
from ...wrappers._wrapper import Wrapper
from . import _states as states, tree
from ._blocks import identity, scale, scale_by_learning_rate
from ._naming import named
from ._own import from_optax
from ._transformation import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    ScalarOrSchedule,
    built,
)


def _conjugate(grad: PyTree | None) -> PyTree | None:
    """optax's searches take and keep what `jax.grad` returns, ours its conjugate."""
    return jax.tree.map(jnp.conj, grad)


def _verbose(name: str, *args: Any) -> GradientTransformationExtraArgs:
    """optax's own search, which prints."""
    search: GradientTransformationExtraArgs = from_optax(name)(*args)
    return search


@dataclass(frozen=True)
class _SearchNaming:
    """The states of searches; ours also says whether the search failed."""

    theirs: Any
    their_info: Any
    ours: Any
    our_info: Any

    def accepts(self, state: Any) -> bool:
        return bool(type(state).__name__ == self.theirs.__name__)

    def to_ours(self, state: Any) -> Any:
        info = self.our_info(*state.info, failed=jnp.zeros((), bool))
        grad = _conjugate(state.grad)
        return self.ours(state.learning_rate, state.value, grad, info)

    def to_optax(self, state: Any, before: Any) -> Any:
        info = self.their_info(*state.info[:-1])
        grad = _conjugate(state.grad)
        return self.theirs(state.learning_rate, state.value, grad, info)


@transformation
class _search(named):
    """A search with optax's state and gradients."""

    __repr__ = named.__repr__

    def update(
        self,
        updates: PyTree,
        state: State,
        params: PyTree | None = None,
        *,
        grad: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, State]:
        grad = _conjugate(grad)
        return named.update(self, updates, state, params, grad=grad, **extra)


def scale_by_backtracking_linesearch(
    max_backtracking_steps: ArrayLike,
    slope_rtol: ArrayLike = 1e-4,
    decrease_factor: ArrayLike = 0.8,
    increase_factor: ArrayLike = 1.5,
    max_learning_rate: ArrayLike = 1.0,
    atol: ArrayLike = 0.0,
    rtol: ArrayLike = 0.0,
    store_grad: bool = False,
    verbose: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.scale_by_backtracking_linesearch`; ``verbose`` uses optax's own.

    Unlike in optax, updates that point uphill are negated.
    """
    numbers = (
        max_backtracking_steps,
        slope_rtol,
        decrease_factor,
        increase_factor,
        max_learning_rate,
        atol,
        rtol,
    )
    if verbose:
        return _verbose(
            "scale_by_backtracking_linesearch", *numbers, store_grad, verbose
        )
    tx = _backtracking.scale_by_backtracking_linesearch(*numbers, store_grad=store_grad)
    naming = _SearchNaming(
        states.ScaleByBacktrackingLinesearchState,
        states.BacktrackingLinesearchInfo,
        _backtracking.ScaleByBacktrackingLinesearchState,
        _backtracking.BacktrackingLinesearchInfo,
    )
    return built(_search(tx, naming))


def scale_by_zoom_linesearch(
    max_linesearch_steps: ArrayLike,
    max_learning_rate: ArrayLike | None = None,
    tol: ArrayLike = 0.0,
    increase_factor: ArrayLike = 2.0,
    slope_rtol: ArrayLike = 1e-4,
    curv_rtol: ArrayLike = 0.9,
    approx_dec_rtol: ArrayLike | None = 1e-6,
    stepsize_precision: ArrayLike = 1e-5,
    initial_guess_strategy: Literal["keep", "one"] = "keep",
    verbose: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.scale_by_zoom_linesearch`; ``verbose`` uses optax's own.

    Unlike in optax, updates that point uphill are negated.
    """
    arguments = (
        max_linesearch_steps,
        max_learning_rate,
        tol,
        increase_factor,
        slope_rtol,
        curv_rtol,
        approx_dec_rtol,
        stepsize_precision,
        initial_guess_strategy,
    )
    if verbose:
        return _verbose("scale_by_zoom_linesearch", *arguments, verbose)
    naming = _SearchNaming(
        states.ScaleByZoomLinesearchState,
        states.ZoomLinesearchInfo,
        _zoom.ScaleByZoomLinesearchState,
        _zoom.ZoomLinesearchInfo,
    )
    return built(_search(_zoom.scale_by_zoom_linesearch(*arguments), naming))


def value_and_grad_from_state(
    value_fn: Callable[..., Any],
) -> Callable[..., tuple[Array, PyTree]]:
    """`of.value_and_grad_from_state`, for any state with a value and a gradient."""

    def value_and_grad(
        params: PyTree, *fn_args: Any, state: PyTree, **fn_kwargs: Any
    ) -> tuple[Array, PyTree]:
        value, grad = tree.get(state, "value"), tree.get(state, "grad")
        if value is None or grad is None:
            raise ValueError(
                "the state must hold a value and a gradient; a line search keeps the "
                "gradient with store_grad=True"
            )
        found: tuple[Array, PyTree] = lax.cond(
            jnp.isfinite(value),
            lambda: (value, grad),
            lambda: tree.cast_like(
                jax.value_and_grad(value_fn)(params, *fn_args, **fn_kwargs),
                (value, grad),
            ),
        )
        return found

    return value_and_grad


@transformation
class _lbfgs_of_trees(Wrapper):
    """`of.scale_by_lbfgs` that keeps each pair, with its memory as trees."""

    inner: Any = child()

    def __repr__(self) -> str:
        return repr(self.inner)

    def state_of(self, child: Child, state: State) -> State:
        dtype = flat_dtype(state.params)
        rows = jax.vmap(partial(flat_vector, dtype=dtype))
        return _lbfgs_direction.ScaleByLbfgsState(
            step=state.count,
            old_dirs=rows(state.diff_updates_memory),
            old_stps=rows(state.diff_params_memory),
            ro=lax.convert_element_type(state.weights_memory, dtype),
            H_diag=jnp.ones((), dtype),
            prev_flat_params=flat_vector(state.params, dtype),
            prev_flat_grad=flat_vector(state.updates, dtype),
            num_pairs=jnp.maximum(state.count - 1, 0),
        )

    def init(self, params: PyTree) -> states.ScaleByLBFGSState:
        size = self.inner.memory_size

        def rows(leaf: Any) -> Array:
            return jnp.zeros((size, *jnp.shape(leaf)), leaf_dtype(leaf))

        return states.ScaleByLBFGSState(
            jnp.zeros((), jnp.int32),
            zeros_like(params),
            zeros_like(params),
            jax.tree.map(rows, params),
            jax.tree.map(rows, params),
            jnp.zeros(size),
        )

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, states.ScaleByLBFGSState]:
        if type(state).__name__ != "ScaleByLBFGSState":
            raise foreign_state(self.inner, "a ScaleByLBFGSState", state)
        (member,) = self.children()
        direction, after = self.inner.update(
            updates, self.state_of(member, state), params, **extra
        )
        trees = jax.vmap(partial(unflattened, params=params))
        return direction, states.ScaleByLBFGSState(
            after.step,
            params,
            updates,
            tree.cast_like(trees(after.old_stps), state.diff_params_memory),
            tree.cast_like(trees(after.old_dirs), state.diff_updates_memory),
            lax.convert_element_type(after.ro, state.weights_memory.dtype),
        )


def scale_by_lbfgs(
    memory_size: int = 10, scale_init_precond: bool = True
) -> GradientTransformationExtraArgs:
    """`of.scale_by_lbfgs` that keeps each pair."""
    tx = _lbfgs_direction.scale_by_lbfgs(memory_size, scale_init_precond, "all")
    return built(_lbfgs_of_trees(tx))


def lbfgs(
    learning_rate: ScalarOrSchedule | None = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    linesearch: GradientTransformation | None = scale_by_zoom_linesearch(  # noqa: B008
        20, initial_guess_strategy="one"
    ),
) -> GradientTransformationExtraArgs:
    """`scale_by_lbfgs`, a learning rate, and a line search."""
    rate = (
        scale(-1.0) if learning_rate is None else scale_by_learning_rate(learning_rate)
    )
    search = identity() if linesearch is None else linesearch
    return built(
        our_chain(scale_by_lbfgs(memory_size, scale_init_precond), rate, search)
    )
