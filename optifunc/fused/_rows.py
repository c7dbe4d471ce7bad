"""Rows: neighbors in memory that share a number, such as the scale of a block.

Kernels compute rows in phases: a loop over a row, the numbers that are its maxima, and
a loop that uses them, while the row is in the cache. `of.quantized` needs it: a block's
codes cannot be written before its scale is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.lax import GatherScatterMode

from ._graph import Node, Value
from ._operations import is_known, options_of
from ._types import TYPES

# Shorter rows do not fill the processor's vectors. Of longer ones, what one phase
# leaves for the next would not stay in the cache, and there may be few for the threads.
SHORTEST, LONGEST = 16, 4096
REDUCTIONS = {"reduce_max", "reduce_min"}
LARGEST_TABLE = 4096


def is_reduction(node: Node) -> bool:
    """Whether a node computes the largest or smallest number of each row."""
    if node.name not in REDUCTIONS:
        return False
    shape = node.operands[0].aval.shape
    return (
        tuple(node.eqn.params["axes"]) == (len(shape) - 1,)
        and node.result.size > 1
        and SHORTEST <= shape[-1] <= LONGEST
        and node.result.dtype in TYPES
        and node.result.dtype != "bool"
    )


def repeats_along_rows(node: Node) -> bool:
    """Whether a node repeats one number for each row."""
    return node.name == "broadcast_in_dim" and repeat_length(node) > 0


def is_padding(node: Node) -> bool:
    """Whether a node adds numbers at the end, to fill the last row."""
    if node.name != "pad" or len(node.operands[0].aval.shape) != 1:
        return False
    ((low, high, inside),) = node.eqn.params["padding_config"]
    return bool(low == inside == 0 < high) and node.operands[0].size > 1


def is_cut(node: Node) -> bool:
    """Whether a node removes numbers at the end."""
    if node.name != "slice" or len(node.operands[0].aval.shape) != 1:
        return False
    params = node.eqn.params
    return params["start_indices"] == (0,) and params["strides"] in (None, (1,))


def is_lookup(node: Node) -> bool:
    """Whether a node looks up each element in a small known table."""
    if node.name != "gather":
        return False
    (table, places), params = node.operands, node.eqn.params
    numbers = params["dimension_numbers"]
    return (
        isinstance(table.constant, np.ndarray)
        and 1 < table.size <= LARGEST_TABLE
        and len(table.aval.shape) == 1
        and table.dtype in TYPES
        and not (TYPES[table.dtype].is_narrow or TYPES[table.dtype].is_bool)
        and places.size == node.result.size > 1
        and numbers.offset_dims == numbers.operand_batching_dims == ()
        and params["mode"]
        in (GatherScatterMode.PROMISE_IN_BOUNDS, GatherScatterMode.CLIP)
    )


def is_count(node: Node) -> bool:
    """Whether a node counts the elements of an array."""
    return node.name == "iota" and len(node.result.aval.shape) == 1


def is_interleaving(node: Node) -> bool:
    """Whether a node makes neighbors of the elements of two arrays."""
    if node.name not in ("stack", "concatenate") or len(node.operands) != 2:
        return False
    axis = node.eqn.params.get("axis", node.eqn.params.get("dimension"))
    shape = node.result.aval.shape
    is_last = axis == len(shape) - 1 and shape[-1] == 2
    return is_last and all(2 * x.size == node.result.size > 2 for x in node.operands)


def half_of(node: Node) -> int | None:
    """Whether a node takes the first or the second of two neighbors: 0 or 1."""
    if node.name != "slice" or len(node.operands[0].aval.shape) < 2:
        return None
    params, shape = node.eqn.params, node.operands[0].aval.shape
    *others, half = params["start_indices"]
    if shape[-1] != 2 or any(others) or params["strides"] is not None:
        return None
    is_one = params["limit_indices"] == (*shape[:-1], half + 1)
    return int(half) if is_one and node.result.size > 1 else None


def shows_rows(node: Node) -> bool:
    """Whether a node shows the numbers of its operand in more or fewer places."""
    return repeats_along_rows(node) or is_cut(node)


def is_in_rows(node: Node) -> bool:
    """Whether kernels support a node as part of a computation in rows."""
    if len(node.results) > 1 or node.result.size <= 1:
        return False
    if not all(x.dtype in TYPES for x in (*node.operands, node.result)):
        return False
    kinds = (is_reduction, is_padding, is_cut, is_lookup, is_count, is_interleaving)
    return (
        bool(repeat_length(node))
        or any(is_it(node) for is_it in kinds)
        or half_of(node) is not None
    )


def described(node: Node) -> tuple[str, Sequence[Value], tuple[Any, ...]]:
    """The name, the operands and the options of a node's operation in a program."""
    half = half_of(node)
    if half is not None:
        return "half", node.operands, (half,)
    if is_interleaving(node):
        return "interleave", node.operands, ()
    if is_count(node):
        return "count", (), ()
    if is_lookup(node):
        table, places = node.operands
        return "gather", [places], (np.ascontiguousarray(table.constant).tobytes(),)
    return node.name, node.operands, options_of(node.name, node.eqn.params)


def repeated_by(node: Node) -> list[Value]:
    """The operands with one number for each row of the result."""
    if not repeat_length(node):
        return []
    return [value for value in node.operands if 1 < value.size < node.result.size]


def repeat_length(node: Node) -> int:
    """The length of the rows for which a node repeats a number; 0 if it does not."""
    if len(node.results) != 1 or node.result.size <= 1:
        return 0
    shape, size = node.result.aval.shape, node.result.size
    if node.name == "broadcast_in_dim":
        (operand,) = node.operands[:1]
        spread = [1] * len(shape)
        for length, axis in zip(
            operand.aval.shape, node.eqn.params["broadcast_dimensions"], strict=True
        ):
            spread[axis] = length
        return _shared_length(spread, shape) if 1 < operand.size < size else 0
    dtypes = tuple(value.dtype for value in node.operands)
    if not is_known(node.name, dtypes, node.result.dtype):
        return 0
    lengths = {
        _shared_length(value.aval.shape, shape)
        for value in node.operands
        if value.size not in (1, size)
    }
    return lengths.pop() if len(lengths) == 1 else 0


def _shared_length(short: Sequence[int], shape: Sequence[int]) -> int:
    """How often each number of one shape is repeated in a row of another; or 0.

    The first axes are the same in both; of the others, the one has a single number.
    """
    if len(short) != len(shape):
        return 0
    same = 0
    while same < len(shape) and short[same] == shape[same]:
        same += 1
    length = math.prod(shape[same:])
    only_ones = all(n == 1 for n in short[same:])
    return length if only_ones and SHORTEST <= length <= LONGEST else 0


def computed_from(node: Node) -> tuple[Value, ...]:
    """The operands from which a node computes an element, or the number of a row."""
    return node.operands[1:] if node.name == "gather" else node.operands


def computed_by_xla(nodes: list[Node], fusible: set[Node]) -> set[Value]:
    """Arrays that XLA computes, and those computed from them, except for maxima.

    If a row's number is one, such as a sum, XLA computes it where it is read. A kernel
    would have to read it from memory.
    """
    found: set[Value] = set()
    for node in nodes:
        depends = not is_reduction(node) and not found.isdisjoint(computed_from(node))
        if depends or node not in fusible:
            found.update(value for value in node.results if value.size > 1)
    return found
