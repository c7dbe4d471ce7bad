"""How the elements of a cluster lie in memory: in one row, or in rows of one length."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ._graph import Node, Value
from ._program import Per
from ._rows import (
    computed_from,
    half_of,
    is_cut,
    is_interleaving,
    is_padding,
    is_reduction,
    repeat_length,
)


@dataclass(frozen=True)
class Layout:
    """How the elements of a cluster lie.

    **Arguments:**

    - ``elements``: how many each array in memory has.
    - ``row``: how many are in a row; 0 if there are no rows.
    - ``is_ragged``: whether the last row may have fewer elements.
    - ``pairs``: how many pairs of neighbors there are, if kernels compute such.
    """

    elements: int
    row: int = 0
    is_ragged: bool = False
    pairs: int = 0

    @cached_property
    def rows(self) -> int:
        """The number of rows, of which the last may be shorter."""
        return -(-self.elements // self.row) if self.row else 0

    def per(self, value: Value) -> Per:
        """For what a value has one number."""
        if value.size == 1:
            return Per.CALL
        known = {self.rows: Per.ROW, self.pairs: Per.PAIR}
        return known.get(value.size, Per.ELEMENT)


def layout(nodes: Iterable[Node]) -> Layout | None:
    """The layout of a cluster; None if it has no single one."""
    members = set(nodes)
    arrays = [x for node in members for x in (*computed_from(node), node.result)]
    sizes = {value.size for value in arrays if value.size > 1}
    edges = [node for node in members if is_padding(node) or is_cut(node)]
    halves = {x.operands[0].size for x in members if half_of(x) is not None}
    halves |= {x.result.size for x in members if is_interleaving(x)}
    lengths = {(repeat_length(x), x.result.size) for x in members}
    repeats = {(length, size) for length, size in lengths if length}
    reductions = {
        (x.operands[0].aval.shape[-1], x.operands[0].size)
        for x in members
        if is_reduction(x)
    }
    if not (edges or repeats or reductions or halves):
        return Layout(sizes.pop()) if len(sizes) == 1 else None
    if len(repeats) != 1 or not reductions <= repeats:
        return None
    ((row, padded),) = repeats
    shorter = {min(x.operands[0].size, x.result.size) for x in edges} or {padded}
    pairs = padded // 2 if halves else 0
    found = Layout(min(shorter), row, bool(edges), pairs)
    whole = {max(x.operands[0].size, x.result.size) for x in edges} | {padded}
    if len(shorter) > 1 or len(whole) > 1 or found.rows * row != padded:
        return None
    if not halves <= {padded} or (halves and row % 2):
        return None
    if found.rows == 1 or not sizes <= {found.elements, padded, found.rows, pairs}:
        return None
    if found.elements < padded and any(
        x.size == padded and _is_in_memory(x, members) for x in arrays
    ):
        return None
    return found


def _is_in_memory(value: Value, members: set[Node]) -> bool:
    """Whether a cluster reads a value from memory, or writes it."""
    return (
        value.is_result
        or value.node not in members
        or not members.issuperset(value.readers)
    )
