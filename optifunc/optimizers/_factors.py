"""Leaves as tensors with a square factor for each axis: SOAP, Shampoo and Kron."""

from __future__ import annotations

import itertools
from typing import Any

import jax.numpy as jnp
from jax import Array

from .._numerics import Scalar
from .._tree import compute_dtype


def merged_shape(
    shape: tuple[int, ...], largest: int, *, axes: int = 1
) -> tuple[int, ...]:
    """A shape without axes of size 1, with neighbors joined while they are small.

    **Arguments:**

    - ``shape``: the shape of a leaf.
    - ``largest``: the largest size of joined axes.
    - ``axes``: the minimum number of axes to leave, if there are as many.
    """
    sizes = [n for n in shape if n != 1] or [1]
    merged = sizes[:1]
    for i, size in enumerate(sizes[1:], 2):
        can_spare = len(merged) + len(sizes) - i >= axes
        if can_spare and merged[-1] * size <= largest:
            merged[-1] *= size
        else:
            merged.append(size)
    return tuple(merged)


def block_slices(shape: tuple[int, ...], largest: int) -> list[tuple[slice, ...]]:
    """The blocks of a tensor, none of whose sides is above ``largest``."""
    if 0 in shape:
        return []
    sides = [
        [slice(i, min(i + largest, n)) for i in range(0, n, largest)] for n in shape
    ]
    return list(itertools.product(*sides))


def joined_blocks(blocks: list[Array], shape: tuple[int, ...], largest: int) -> Array:
    """The tensor that was cut into ``blocks``.

    It is concatenated, not written into: XLA has been seen to misplace blocks of a
    sharded array that do not divide it evenly.
    """
    for axis in reversed(range(len(shape))):
        count = -(-shape[axis] // largest)
        rows = [blocks[i : i + count] for i in range(0, len(blocks), count)]
        blocks = [jnp.concatenate(row, axis) for row in rows]
    return blocks[0]


def scaled_identity(size: int, leaf: Any, scale: Scalar) -> Array:
    """An initial factor, in at least float32."""
    dtype = compute_dtype(jnp.result_type(leaf))
    return scale * jnp.eye(size, dtype=dtype)


def flat(lists: list[list[Any]]) -> list[Any]:
    """The items of lists, one after another."""
    return [item for items in lists for item in items]


def unflat(items: list[Any], like: list[list[Any]]) -> list[list[Any]]:
    """``items`` in lists as long as those of ``like``."""
    rest = iter(items)
    return [[next(rest) for _ in part] for part in like]
