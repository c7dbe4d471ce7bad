"""Products of a tensor with one matrix for each axis, and their parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from .._placement import stacked_alike, whole
from ._spread import in_parts


def multiply_axes(tensor: Array, matrices: Sequence[Array | None]) -> Array:
    """Multiply each axis by a matrix: ``y[.., k, ..] = sum_j x[.., j, ..] M[j, k]``.

    An axis whose matrix is None does not change.
    """
    for axis, matrix in enumerate(matrices):
        if matrix is not None:
            product = jnp.tensordot(tensor, matrix, axes=(axis, 0), precision="highest")
            tensor = jnp.moveaxis(product, -1, axis)
    return tensor


def transpose_each(matrices: Sequence[Array | None]) -> list[Array | None]:
    """The transposes of matrices, each of which may be None."""
    return [None if x is None else x.T for x in matrices]


def whole_each(matrices: Sequence[Array | None]) -> list[Array | None]:
    """Matrices, each of which may be None, gathered along explicit axes of the mesh."""
    return [None if x is None else whole(x) for x in matrices]


def gram(tensor: Array, axis: int) -> Array:
    """The pairwise products of a tensor's slices along an axis."""
    others = [i for i in range(tensor.ndim) if i != axis]
    return jnp.tensordot(tensor, tensor, axes=(others, others), precision="highest")


def apply_alike(
    function: Callable[..., tuple[Any, ...]],
    rows: Sequence[tuple[Array, ...] | None],
) -> list[tuple[Any, ...] | None]:
    """A function of batches of arrays, once for all rows of the same shapes and dtypes.

    **Arguments:**

    - ``function``: takes an array for each item of a row, with a new first axis, and
      returns arrays that have it.
    - ``rows``: the arguments that belong together. A row that is None has no result.
    """
    batches = defaultdict(list)
    for i, row in enumerate(rows):
        if row is not None:
            batches[tuple((x.shape, x.dtype) for x in row)].append((i, row))
    results: list[tuple[Any, ...] | None] = [None] * len(rows)
    last: Sequence[Array] = ()
    for members in batches.values():
        numbers, alike = zip(*members, strict=True)
        stacked = [stacked_alike(column) for column in zip(*alike, strict=True)]
        stacked = _after(last, stacked)
        last = found = in_parts(function, *stacked)
        for i, *result in zip(numbers, *found, strict=True):
            results[i] = tuple(result)
    return results


def _after(previous: Sequence[Array], arrays: Sequence[Array]) -> list[Array]:
    """``arrays``, computed after all of ``previous``.

    XLA's CPU client deadlocks if it begins more batched factorizations or triangular
    solves at once than it has threads (seen in jax 0.10): each waits for a thread that
    another one holds.
    """
    if not previous:
        return list(arrays)
    zero = jnp.zeros((), jnp.float32)
    for x in previous:
        number = lax.convert_element_type(jnp.ravel(x)[0], zero.dtype)
        # A barrier is removed before operations are ordered, but a sum with 0 is not.
        zero = zero + jnp.where(jnp.isfinite(number), 0 * number, 0)
    return [x + lax.convert_element_type(zero, x.dtype) for x in arrays]


def rows_of(*columns: Sequence[Array | None]) -> list[tuple[Any, ...] | None]:
    """For `apply_alike`: the items at each position of ``columns``, or None."""
    return [None if row[0] is None else row for row in zip(*columns, strict=True)]
