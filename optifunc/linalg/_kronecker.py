"""Products of a tensor with one matrix for each axis, and what they are made of."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array


def multiply_axes(tensor: Array, matrices: Sequence[Array | None]) -> Array:
    """Multiply each axis by a matrix: ``y[.., k, ..] = sum_j x[.., j, ..] M[j, k]``.

    An axis whose matrix is None stays as it is.
    """
    for axis, matrix in enumerate(matrices):
        if matrix is not None:
            product = jnp.tensordot(tensor, matrix, axes=(axis, 0), precision="highest")
            tensor = jnp.moveaxis(product, -1, axis)
    return tensor


def transpose_each(matrices: Sequence[Array | None]) -> list[Array | None]:
    """The transposes of matrices, each of which may be None."""
    return [None if x is None else x.T for x in matrices]


def gram(tensor: Array, axis: int) -> Array:
    """The products of a tensor's slices along an axis, each with each."""
    others = [i for i in range(tensor.ndim) if i != axis]
    return jnp.tensordot(tensor, tensor, axes=(others, others), precision="highest")


def apply_alike(
    function: Callable[..., tuple[Array, ...]],
    *columns: Sequence[Array | None],
) -> list[tuple[Any, ...] | None]:
    """A function of batches of matrices, once for all matrices of one shape and dtype.

    **Arguments:**

    - ``function``: takes an array for each of ``columns``, with a new first axis, and
      returns arrays that have it.
    - ``columns``: the rows of equal index go together. A row of None has no result.
    """
    rows: list[tuple[Any, ...]] = list(zip(*columns, strict=True))
    batches = defaultdict(list)
    for i, row in enumerate(rows):
        if row[0] is not None:
            batches[tuple((x.shape, x.dtype) for x in row)].append(i)
    results: list[tuple[Any, ...] | None] = [None] * len(rows)
    for members in batches.values():
        chosen = zip(*(rows[i] for i in members), strict=True)
        stacked = [jnp.stack(arrays) for arrays in chosen]
        for i, *result in zip(members, *function(*stacked), strict=True):
            results[i] = tuple(result)
    return results
