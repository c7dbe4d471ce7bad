"""Updates that are made only under a condition."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._dataclass import static
from .._numerics import increment
from .._transformation import (
    GradientTransformation,
    State,
    identity,
    transformation,
)
from .._tree import PyTree, is_sparse
from ._chain import accepted_arguments, as_transformation


def update_with_either(
    condition: Any,
    transformations: tuple[GradientTransformation, GradientTransformation],
    states: tuple[State, State],
    updates: PyTree,
    params: PyTree | None,
    extra: dict[str, Any],
) -> tuple[PyTree, tuple[State, State]]:
    """Update with the first transformation if ``condition``, else with the second.

    The other one is not run and its state stays as it is.
    """

    def in_dtype(new: Any, old: Any) -> Any:
        # Both branches must agree; transformations from elsewhere may promote.
        return new if is_sparse(new) else lax.convert_element_type(new, old.dtype)

    def branch(i: int) -> Callable[[], tuple[PyTree, tuple[State, State]]]:
        def run() -> tuple[PyTree, tuple[State, State]]:
            new, state = transformations[i].update(updates, states[i], params, **extra)
            new = jax.tree.map(in_dtype, new, updates, is_leaf=is_sparse)
            return new, (state, states[1]) if i == 0 else (states[0], state)

        return run

    updates, states = lax.cond(condition, branch(0), branch(1))
    return updates, states


class ConditionalState(NamedTuple):
    """State of `conditionally`."""

    step: Array  # int32 [], updates done so far, by either transformation
    inner: State
    otherwise: State


@transformation
class conditionally(GradientTransformation):
    """Apply a transformation where a condition holds, and another where it does not.

    ``u, inner = inner.update(g)`` if ``condition(t, **extra)``, else
    ``u, otherwise = otherwise.update(g)``, where ``t`` counts the updates from 0. The
    one that does not run is not computed, and its state does not change::

        of.conditionally(of.add_noise(0.01), lambda step: step < 1000)

    **Arguments:** ``inner``: a transformation; ``condition``: a function of the step
    (an int32 scalar) and of those extra arguments of `update` that it names, which
    returns a bool scalar; it is static, so that one made anew is compiled anew;
    ``otherwise``: by default the updates are left as they are.

    **Raises:** `TypeError` if ``condition`` is no function or returns no bool scalar.
    """

    inner: GradientTransformation
    condition: Callable[..., Any] = static()
    otherwise: GradientTransformation = identity()

    def __post_init__(self) -> None:
        if not callable(self.condition):
            raise TypeError(f"condition must be a function, found {self.condition!r}")
        object.__setattr__(self, "inner", as_transformation(self.inner))
        object.__setattr__(self, "otherwise", as_transformation(self.otherwise))

    def init(self, params: PyTree) -> ConditionalState:
        step = jnp.zeros((), jnp.int32)
        return ConditionalState(
            step, self.inner.init(params), self.otherwise.init(params)
        )

    def update(
        self,
        updates: PyTree,
        state: ConditionalState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ConditionalState]:
        named = accepted_arguments(self.condition, extra)
        holds = self.condition(state.step, **named)
        if jnp.shape(holds) != () or jnp.result_type(holds) != jnp.bool_:
            raise TypeError(f"condition must return a bool scalar, found {holds!r}")
        updates, (inner, otherwise) = update_with_either(
            holds,
            (self.inner, self.otherwise),
            (state.inner, state.otherwise),
            updates,
            params,
            extra,
        )
        return updates, ConditionalState(increment(state.step), inner, otherwise)
