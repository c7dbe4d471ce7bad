"""Sparse leaves: gradients and updates of a few entries of a large parameter."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jax import Array, lax

if TYPE_CHECKING:
    from jax.experimental.sparse import BCOO


def is_sparse(leaf: object) -> bool:
    """Whether ``leaf`` is a sparse array, which counts as one leaf of a tree."""
    # Anyone who has one has imported the module, which takes half as long as JAX.
    module = sys.modules.get("jax.experimental.sparse")
    kind = getattr(module, "BCOO", None)
    return kind is not None and isinstance(leaf, kind)


def summed(leaf: BCOO) -> BCOO:
    """``leaf`` with each index once, and 0 where an index is outside its shape.

    Such indices are padding: the number of entries is part of the (static) shape
    and does not change.
    """
    from jax.experimental.sparse import bcoo_sum_duplicates

    if not leaf.unique_indices:
        # The method of the same name would drop explicit zeros.
        leaf = bcoo_sum_duplicates(leaf, nse=leaf.nse)
    sizes = leaf.shape[leaf.n_batch : leaf.n_batch + leaf.n_sparse]
    ends = jnp.broadcast_to(jnp.asarray(sizes, leaf.indices.dtype), leaf.indices.shape)
    inside = jnp.all((leaf.indices >= 0) & (leaf.indices < ends), axis=-1)
    inside = lax.expand_dims(inside, range(inside.ndim, leaf.data.ndim))
    return with_data(leaf, jnp.where(inside, leaf.data, jnp.zeros_like(leaf.data)))


def with_data(leaf: BCOO, data: Array) -> BCOO:
    """``leaf`` with other data at the same indices."""
    return type(leaf)(
        (data, leaf.indices),
        shape=leaf.shape,
        indices_sorted=leaf.indices_sorted,
        unique_indices=leaf.unique_indices,
    )


def entries(array: Array, leaf: BCOO) -> Array:
    """The entries of ``array`` at the indices of ``leaf``, in the layout of its data.

    0 at padding.
    """
    found: Array = _at(array, leaf).get(
        mode="fill", fill_value=0, wrap_negative_indices=False
    )
    return found


def with_entries(array: Array, leaf: BCOO, values: Array) -> Array:
    """``array`` with ``values`` at the indices of ``leaf``, each of which occurs once.

    All other entries are unchanged, and nothing is written at padding.
    """
    changed: Array = _at(array, leaf).set(
        values, mode="drop", wrap_negative_indices=False
    )
    return changed


def _at(array: Array, leaf: BCOO) -> Any:
    if leaf.n_batch or not leaf.n_sparse:
        raise ValueError(
            "a sparse leaf must have n_batch=0 and n_sparse of at least 1, found "
            f"n_batch={leaf.n_batch}, n_sparse={leaf.n_sparse} and shape {leaf.shape}"
        )
    return jnp.asarray(array).at[tuple(leaf.indices.T)]
