"""The numbers that codes represent, and the code of the number nearest to another."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax


@functools.cache
def dynamic_codebook(bits: int, is_signed: bool) -> np.ndarray[Any, Any]:
    """The numbers that the codes of a dynamic map represent, in ascending order.

    With ``e`` bits for the exponent, there are ``e`` decades. The decade from a tenth
    of ``10^(i + 1 - e)`` to the whole is divided into ``2^i`` intervals (unsigned:
    twice as many). The codebook contains their midpoints, 0 and 1. Unsigned 4-bit codes
    are linear and leave out 0.

    **Source:** Dettmers et al., 2021, [arXiv:2110.02861](https://arxiv.org/abs/2110.02861);
    4 bits: Li, Chen, and Zhu, 2023, [arXiv:2309.01507](https://arxiv.org/abs/2309.01507).
    """
    if bits == 4 and not is_signed:
        return np.arange(1, 17, dtype=np.float32) / 16
    decades = bits - 1
    numbers = [0.0, 1.0]
    for i in range(decades):
        count = 2 ** (i if is_signed else i + 1)
        edges = _equally_spaced(count)
        midpoints = np.float32(10.0 ** (i + 1 - decades)) * (
            (edges[:-1] + edges[1:]) / np.float32(2)
        )
        numbers.extend(midpoints)
        if is_signed:
            numbers.extend(-midpoints)
    return np.sort(np.asarray(numbers, np.float32))


def _equally_spaced(count: int) -> np.ndarray[Any, Any]:
    """The ends of ``count`` intervals from 0.1 to 1, in float32.

    Each is rounded once, from the nearer end. This equals PyTorch's linspace bit
    for bit, and so the packages whose codes these are.
    """
    start = np.float32(0.1)
    width = np.float64((np.float32(1) - start) / np.float32(count))
    k = np.arange(count + 1)
    from_start = np.float32(np.float64(start) + width * k)
    from_end = np.float32(1 - width * (count - k))
    return np.where(k < (count + 1) // 2, from_start, from_end)


def numbers_of(codes: Array, bits: int, is_signed: bool) -> Array:
    """The float32 numbers that codes of a dynamic map represent."""
    return _looked_up(dynamic_codebook(bits, is_signed), codes)


def nearest_codes(x: Array, bits: int, is_signed: bool) -> Array:
    """The uint8 codes of the numbers nearest to float32 numbers; ties go upward."""
    search = _cells_for(bits, is_signed)
    pattern = lax.bitcast_convert_type(x, jnp.int32)
    size = pattern & 0x7FFFFFFF if is_signed else jnp.maximum(pattern, 0)
    cell = jnp.clip((size >> search.shift) - search.first, 0, search.cells - 1)
    if is_signed:
        cell = jnp.where(pattern < 0, cell + search.cells, cell)
    entry = _looked_up(search.table, cell)
    place = (entry + (size & (2**search.shift - 1))) >> search.shift
    if is_signed:
        place = search.zero + jnp.where(pattern < 0, -place, place)
    return lax.convert_element_type(place, jnp.uint8)


_ENTRIES = lax.GatherDimensionNumbers(
    offset_dims=(), collapsed_slice_dims=(0,), start_index_map=(0,)
)


def _looked_up(table: np.ndarray[Any, Any], indices: Array) -> Array:
    """``table[indices]`` for valid indices, sharded as these are."""
    sharding: Any = jax.typeof(indices).sharding
    if any(sharding.spec):
        found: Array = (
            jnp.asarray(table)
            .at[indices]
            .get(mode="promise_in_bounds", out_sharding=sharding)
        )
        return found
    # A step has thousands of them, and indexing takes far longer to trace.
    places = lax.convert_element_type(indices, jnp.int32)
    return lax.gather(
        jnp.asarray(table),
        lax.expand_dims(places, (indices.ndim,)),
        _ENTRIES,
        slice_sizes=(1,),
        mode="promise_in_bounds",
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Cells:
    """How to find the code nearest to a number by one lookup.

    As integers, the bit patterns of positive floats are in the order of the floats.
    Their upper bits are the number of a cell, and cells are so small that at most one
    edge between two codes is inside each. A cell's entry has the number of edges below
    it in its upper bits, and is larger by what is missing from the edge to the next
    cell: adding a pattern's lower bits carries if it is not below the edge.
    """

    shift: int  # the number of lower bits
    first: int  # the number of the first cell; smaller numbers have no edges
    cells: int  # how many there are for each sign; the last is for all larger numbers
    zero: int  # the code of 0
    table: np.ndarray[Any, Any]  # for positive, then for negative numbers


@functools.cache
def _cells_for(bits: int, is_signed: bool) -> _Cells:
    """The search for a codebook."""
    book = dynamic_codebook(bits, is_signed)
    edges = (book[1:] + book[:-1]) / np.float32(2)
    above = edges[edges > 0].view(np.int32)
    # A negative number is below an edge if its size is at least the next float.
    below = -edges[edges < 0][::-1]
    signs = [above, below.view(np.int32) + 1] if is_signed else [above]

    def are_apart(shift: int) -> bool:
        return all(len(np.unique(x >> shift)) == len(x) for x in signs)

    # An entry has 31 bits, 8 of them for the number of edges.
    shift = next(n for n in range(22, 0, -1) if are_apart(n))
    first = min(x[0] >> shift for x in signs) - 1
    last = max(x[-1] >> shift for x in signs) + 1
    whole = 2**shift
    tables = []
    for sizes in signs:
        begins = np.arange(first, last + 1) * whole
        entries = np.searchsorted(sizes, begins, side="left") * whole
        inside = (sizes >> shift) - first
        entries[inside] += whole - sizes % whole
        tables.append(entries)
    return _Cells(
        shift,
        int(first),
        int(last - first + 1),
        int(np.searchsorted(edges, 0)),
        np.concatenate(tables).astype(np.int32),
    )
