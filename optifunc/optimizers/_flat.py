"""All numbers of a tree as one vector, for L-BFGS."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._placement import laid_like, whole
from .._tree import (
    PyTree,
    check_array,
    check_shapes,
    compute_dtype,
    flatten_like,
    is_array,
    is_sparse,
    leaves_with_names,
    real_dtype,
)


def dense_gradient(updates: PyTree, params: PyTree) -> PyTree:
    """``updates`` with a dense leaf for each parameter; what is None is zeros."""
    leaves = flatten_like(updates, params, ("updates", "params"))
    treedef: Any = jax.tree.structure(params)
    dense = [leaf.todense() if is_sparse(leaf) else leaf for leaf in leaves]
    filled = [
        jnp.zeros_like(param) if leaf is None else leaf
        for leaf, param in zip(dense, jax.tree.leaves(params), strict=True)
    ]
    gradient = treedef.unflatten(filled)
    check_shapes(gradient, params, ("updates", "params"))
    return gradient


def strongly_typed(leaf: Any) -> Array | None:
    """A leaf whose dtype is its own: a Python number adapts to what it meets.

    None for a leaf that is not a number, as Equinox's models have.
    """
    if not is_array(leaf):
        return None
    return lax.convert_element_type(leaf, jnp.result_type(leaf))


def flat_dtype(params: PyTree) -> Any:
    """The dtype of a vector of all numbers of ``params``."""
    dtypes = []
    for name, leaf in leaves_with_names(params):
        check_array(name, leaf)
        dtypes.append(jnp.result_type(leaf))
        if not jnp.issubdtype(dtypes[-1], jnp.inexact):
            raise TypeError(
                "params must be floating point or complex, found "
                f"{dtypes[-1]} at {name!r}; leave such leaves out with partition"
            )
    return compute_dtype(*map(real_dtype, dtypes))


def flat_sizes(params: PyTree) -> list[int]:
    """How many numbers of the vector belong to each leaf."""
    return [
        math.prod(np.shape(leaf)) * (2 if jnp.iscomplexobj(leaf) else 1)
        for leaf in jax.tree.leaves(params)
    ]


def flat_vector(tree: PyTree, dtype: Any) -> Array:
    """All numbers of ``tree`` in one vector."""

    def vector(leaf: Array) -> Array:
        if jnp.iscomplexobj(leaf):
            leaf = jnp.stack([leaf.real, leaf.imag], axis=-1)
        return lax.convert_element_type(whole(leaf), dtype).ravel()

    return jnp.concatenate([jnp.zeros(0, dtype), *map(vector, jax.tree.leaves(tree))])


def moved(params: PyTree, step_size: Array, direction: Array) -> PyTree:
    """``params + step_size * direction``, in each parameter's own dtype."""
    treedef: Any
    leaves, treedef = jax.tree.flatten(params)
    step = lax.convert_element_type(step_size, direction.dtype) * direction
    ends = np.cumsum(flat_sizes(params))
    new = []
    # What is left after the last end is nothing.
    for leaf, change in zip(leaves, jnp.split(step, ends)[:-1], strict=True):
        if jnp.iscomplexobj(leaf):
            change = lax.complex(change[0::2], change[1::2])
        wide = lax.convert_element_type(leaf, change.dtype)
        change = laid_like(change.reshape(leaf.shape), leaf)
        new.append((wide + change).astype(leaf.dtype))
    return treedef.unflatten(new)
