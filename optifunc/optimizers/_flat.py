"""All numbers of a tree as one vector, for L-BFGS."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._placement import laid_like, whole
from .._tree import PyTree, check_inexact, compute_dtype, leaf_dtype, real_dtype


def flat_dtype(params: PyTree) -> Any:
    """The dtype of a vector of all numbers of ``params``."""
    check_inexact(params, "params")
    return compute_dtype(*(real_dtype(leaf_dtype(x)) for x in jax.tree.leaves(params)))


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


def unflattened(vector: Array, params: PyTree) -> PyTree:
    """The parts of ``vector`` in the shapes of ``params``, complex where those are."""
    treedef: Any
    leaves, treedef = jax.tree.flatten(params)
    ends = np.cumsum(flat_sizes(params))
    parts = []
    # Nothing is left after the last end.
    for leaf, part in zip(leaves, jnp.split(vector, ends)[:-1], strict=True):
        if jnp.iscomplexobj(leaf):
            part = lax.complex(part[0::2], part[1::2])
        parts.append(part.reshape(np.shape(leaf)))
    return treedef.unflatten(parts)


def moved(params: PyTree, step_size: Array, direction: Array) -> PyTree:
    """``params + step_size * direction``, in each parameter's own dtype."""
    step = lax.convert_element_type(step_size, direction.dtype) * direction

    def add(leaf: Array, change: Array) -> Array:
        wide = lax.convert_element_type(leaf, change.dtype)
        return (wide + laid_like(change, leaf)).astype(leaf.dtype)

    return jax.tree.map(add, params, unflattened(step, params))


def check_pairs_fit(old_dirs: Array, params: PyTree, rows: int) -> None:
    """Check that a state's vectors match these parameters.

    **Raises:** `ValueError` that says what they are of.
    """
    expected = rows, sum(flat_sizes(params))
    if old_dirs.shape != expected:
        raise ValueError(
            f"state must hold {expected[0]} vectors of {expected[1]} numbers, as many "
            f"as params has; found old_dirs of shape {old_dirs.shape}"
        )
