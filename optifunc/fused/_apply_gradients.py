"""Update and apply in one call."""

from __future__ import annotations

from typing import Any

import jax

from .._transformation import GradientTransformation, State, apply_updates
from .._tree import PyTree
from ..wrappers._scheduled import as_transformation
from ._fuse import fused_call


def apply_gradients(
    tx: GradientTransformation,
    grads: PyTree,
    state: State,
    params: PyTree,
    **extra: Any,
) -> tuple[PyTree, State]:
    """One step: the new parameters and the new state.

    ::

        @partial(jax.jit, donate_argnames=("params", "state"))
        def train_step(params, state, batch):
            loss, grads = jax.value_and_grad(loss_fn)(params, batch)
            params, state = of.apply_gradients(tx, grads, state, params)
            return params, state, loss

    It is ``updates, state = tx.update(grads, state, params, **extra)`` and
    ``apply_updates(params, updates)``. In a compiled program on CPU, with the extra
    ``optifunc[fused]``, `fuse` combines both in one pass over memory. Donate parameters
    and state (``donate_argnames``) to save a copy of them.

    **Arguments:**

    - ``tx``: a transformation of this library or of optax.
    - ``grads``: the gradients, with the structure of the parameters.
    - ``state``: the state that ``tx.init(params)`` or the last step returned.
    - ``params``: the parameters.
    - ``extra``: other arguments that ``tx.update`` needs, such as ``value``.

    **Returns:** ``(params, state)``.

    **Raises:** `TypeError` if ``tx`` is not a transformation; what ``tx.update`` and
    `apply_updates` raise.
    """
    if isinstance(tx, type) or not callable(getattr(tx, "update", None)):
        as_transformation(tx)  # says what is wrong

    def step(params: PyTree, state: State, grads: PyTree) -> tuple[PyTree, State]:
        updates, state = tx.update(grads, state, params, **extra)
        return apply_updates(params, updates), state

    everything = jax.tree.leaves((params, state, grads, tx, extra))
    if any(isinstance(leaf, jax.core.Tracer) for leaf in everything):
        result: tuple[PyTree, State] = fused_call(step, params, state, grads)
        return result
    return step(params, state, grads)  # nothing is compiled here
