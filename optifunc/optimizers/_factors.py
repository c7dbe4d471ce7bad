"""Leaves as tensors with a square factor for each axis: SOAP, Shampoo and Kron."""

from __future__ import annotations

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import NamedSharding, PartitionSpec

from .._numerics import Scalar
from .._placement import (
    cut_alike,
    is_partly_manual,
    known_sharding,
    names_in,
    sharded_alike,
    spelled,
)
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


def scaled_identity(
    size: int, leaf: Any, scale: Scalar, shape: tuple[int, ...], index: int
) -> Array:
    """An initial factor, in at least float32, sharded as by `laid_beside`.

    **Arguments:**

    - ``size``: the number of its rows and columns.
    - ``leaf``: the leaf that it belongs to.
    - ``scale``: the number on its diagonal.
    - ``shape``: the shape in which the leaf has factors.
    - ``index``: the axis of that shape to which this factor belongs.
    """
    dtype = compute_dtype(jnp.result_type(leaf))
    return laid_beside(scale * jnp.eye(size, dtype=dtype), leaf, shape, index)


def _first_axis(
    shape: tuple[int, ...], merged: tuple[int, ...], index: int
) -> int | None:
    """The first of the axes of ``shape`` that are one axis of ``merged``.

    None if it has no numbers, or none but one.
    """
    before = math.prod(merged[:index])
    return next(
        (
            axis
            for axis, n in enumerate(shape)
            if n > 1 and math.prod(shape[:axis]) == before
        ),
        None,
    )


def laid_beside(factor: Array, leaf: Any, shape: tuple[int, ...], index: int) -> Array:
    """A new factor, sharded as finely as its leaf.

    Its rows are sharded like the axis of the leaf that it belongs to (or the first of
    the merged axes), its columns like the first other axis of the leaf that is sharded.
    If its size is not divisible, its rows, its columns or both stay whole.
    """
    axis = _first_axis(jnp.shape(leaf), shape, index)
    if axis is None:
        return factor
    sharding = known_sharding(leaf)
    if sharding is not None and any(sharding.spec):
        mesh, spec = sharding.mesh, _factor_spec(factor, leaf, axis, sharding)
        laid: Array
        if isinstance(factor, jax.core.Tracer) or isinstance(leaf, jax.core.Tracer):
            laid = jax.sharding.reshard(factor, NamedSharding(mesh, spec))
            return laid
        kind = sharding.memory_kind
        laid = jax.device_put(factor, NamedSharding(mesh, spec, memory_kind=kind))
        return laid
    if not isinstance(leaf, jax.core.Tracer) or is_partly_manual():
        return factor
    # Along automatic axes: XLA shards a sum as it shards the two vectors.
    size, others = len(factor), [i for i in range(leaf.ndim) if i != axis]
    example = cut_alike(leaf, axis, size)
    if factor.ndim > 1:
        columns = (cut_alike(leaf, i, size) for i in others if leaf.shape[i] > 1)
        example = sum((x[None, :] for x in columns), example[:, None])
        example = jnp.broadcast_to(example, factor.shape)
    return sharded_alike(factor, example)


def _factor_spec(
    factor: Array, leaf: Any, axis: int, sharding: NamedSharding
) -> PartitionSpec:
    entries = [*sharding.spec, *[None] * (leaf.ndim - len(sharding.spec))]
    rows = entries.pop(axis)

    def fits(entry: Any) -> bool:
        names = names_in(PartitionSpec(entry))
        parts: int = math.prod(sharding.mesh.shape[name] for name in names)
        return len(factor) % parts == 0

    columns = next((x for x in entries if x is not None and fits(x)), None)
    spec = [rows if fits(rows) else None, columns][: factor.ndim]
    return spelled(PartitionSpec(*spec), sharding.mesh)


def flat(lists: list[list[Any]]) -> list[Any]:
    """The items of lists, one after another."""
    return [item for items in lists for item in items]


def unflat(items: list[Any], like: list[list[Any]]) -> list[list[Any]]:
    """``items`` in lists as long as those of ``like``."""
    rest = iter(items)
    return [[next(rest) for _ in part] for part in like]
