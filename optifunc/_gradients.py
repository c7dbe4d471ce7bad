"""Gradients as trees like the parameters."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from ._tree import PyTree, check_shapes, flatten_like, is_array, is_sparse


def value_and_gradient(
    function: Callable[..., Any], *, has_aux: bool = False
) -> Callable[..., tuple[Any, PyTree]]:
    """`jax.value_and_grad` with torch's gradient of complex parameters.

    That is the conjugate of JAX's: the direction of steepest ascent.
    """

    def evaluate(params: PyTree, *args: Any, **kwargs: Any) -> tuple[Any, PyTree]:
        found = jax.value_and_grad(function, has_aux=has_aux)(params, *args, **kwargs)
        return found[0], jax.tree.map(jnp.conj, found[1])

    return evaluate


def dense_gradient(updates: PyTree, params: PyTree, name: str = "updates") -> PyTree:
    """``updates`` with a dense leaf for each parameter; what is None is zeros.

    **Raises:** `ValueError` where structure or shapes differ from those of ``params``;
    ``name`` says what to call ``updates``.
    """
    leaves = flatten_like(updates, params, (name, "params"))
    treedef: Any = jax.tree.structure(params)
    dense = [leaf.todense() if is_sparse(leaf) else leaf for leaf in leaves]
    filled = [
        jnp.zeros_like(param) if leaf is None else leaf
        for leaf, param in zip(dense, jax.tree.leaves(params), strict=True)
    ]
    gradient = treedef.unflatten(filled)
    check_shapes(gradient, params, (name, "params"))
    return gradient


def strongly_typed(leaf: Any) -> Array | None:
    """A leaf whose dtype is its own: a Python number adapts to what it meets.

    None for a leaf that is not a number, as Equinox's models have.
    """
    if not is_array(leaf):
        return None
    return lax.convert_element_type(leaf, jnp.result_type(leaf))
