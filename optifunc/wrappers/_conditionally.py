"""Updates that depend on a condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from .._dataclass import child, static
from .._foreign import accepted_arguments
from .._numerics import increment
from .._state import Shared
from .._transformation import (
    GradientTransformation,
    State,
    identity,
    transformation,
)
from .._tree import PyTree, is_sparse
from ..transforms._scaling import set_to_zero
from ._wrapper import Wrapper


def update_with_either(
    condition: Any,
    transformations: tuple[GradientTransformation, GradientTransformation],
    states: tuple[State, State],
    updates: PyTree,
    params: PyTree | None,
    extra: dict[str, Any],
) -> tuple[PyTree, tuple[State, State]]:
    """Update with the first transformation if ``condition``, else with the second.

    The other one is not run and its state does not change.
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


def update_or_skip(
    condition: Any,
    tx: GradientTransformation,
    state: State,
    updates: PyTree,
    params: PyTree | None,
    extra: dict[str, Any],
) -> tuple[PyTree, State]:
    """Update if ``condition``; else the updates are 0 and the state is unchanged."""
    both = (tx, set_to_zero()), (state, ())
    updates, (state, _) = update_with_either(condition, *both, updates, params, extra)
    return updates, state


class ConditionalState(NamedTuple):
    """State of `conditionally`.

    **Fields:**

    - ``step``: int32 [], updates done so far, by either transformation.
    - ``inner``, ``otherwise``: the states of the two.
    """

    step: Shared
    inner: State
    otherwise: State


@transformation
class conditionally(Wrapper):
    """Apply one transformation if a condition holds, and another if it does not.

    ``u, inner = inner.update(g)`` if ``condition(t, **extra)``, else
    ``u, otherwise = otherwise.update(g)``, where ``t`` counts the updates from 0. The
    one that does not run is not computed, and its state does not change::

        of.conditionally(of.add_noise(0.01), lambda step: step < 1000)

    **Arguments:**

    - ``inner``: a transformation.
    - ``condition``: a function of the step (an int32 scalar) and of the extra arguments
      of `update` that it names; returns a bool scalar. It is static: a newly created
      function triggers recompilation.
    - ``otherwise``: another transformation; by default, the updates do not change.

    **State:** `ConditionalState`.

    **Raises:** `TypeError` if ``condition`` is not a function, or does not return a
    bool scalar.
    """

    inner: GradientTransformation = child()
    condition: Callable[..., Any] = static()
    otherwise: GradientTransformation = child(default=identity())

    def __post_init__(self) -> None:
        if not callable(self.condition):
            raise TypeError(f"condition must be a function, found {self.condition!r}")
        super().__post_init__()

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
