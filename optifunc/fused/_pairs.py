"""Complex arrays as pairs of real numbers, which kernels compute in place.

Rules of this library treat a complex number as two real ones: they stack the real and
the imaginary parts of an array, compute, and put the halves together again. In XLA,
this copies every array. In memory, a complex array is already a row of pairs, and an
operation on single elements does not depend on their order: so the same operations are
applied to the array's own memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._clusters import VIEWS, is_elementwise, is_view
from ._graph import Graph, Node, Value
from ._segments import rejoined

# Operations that treat the two parts of a complex number alike.
BY_PARTS = {"add", "add_any", "sub", "neg", "select_n"}


def in_pairs(graph: Graph) -> Graph | None:
    """The graph with pairs in place of complex arrays; None if that saves nothing.

    It is ``graph`` itself if there are no complex arrays; otherwise the values and
    nodes of ``graph`` become those of the new one.
    """
    if not any(node.name == "complex" for node in graph.nodes):
        return graph
    rows = _Rows()
    for node in graph.nodes:
        rows.nodes.append(node)
        source = _stacked_from(node) or _put_together(node)
        if source is not None:
            if _is_complex(source) or rows.has(source):
                rows.of[node.result] = rows.row(source)
        elif _is_by_parts(node) or rows.has_all(node):
            operands = tuple(map(rows.row, node.operands))
            result = Value(_row_type(node.result))
            rows.nodes.append(Node(node.name, operands, (result,), node.eqn))
            rows.of[node.result] = result
    parts = {value: [row] for value, row in rows.of.items()}
    computed = [
        x for x, row in rows.of.items() if row.node and is_elementwise(row.node)
    ]
    return rejoined(graph, rows.nodes, parts, {}, computed)


def reads_pairs(node: Node) -> bool:
    """Whether a node reads the memory of a complex array as real numbers."""
    return any(x.base is not None and x.base.dtype != x.dtype for x in node.operands)


def repeats_one_number(node: Node) -> bool:
    """Whether a node repeats one number, of which both parts are the same."""
    source = _put_together(node)
    return source is not None and _behind_views(source).size == 1


class _Rows:
    """The numbers of arrays in one row, and the nodes that compute them."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.of: dict[Value, Value] = {}

    def has(self, value: Value) -> bool:
        """Whether an array of stacked parts has a row, or is one number everywhere."""
        return value in self.of or _behind_views(value).size == 1

    def has_all(self, node: Node) -> bool:
        """Whether a node computes stacked parts from such parts."""
        arrays = [x for x in node.operands if x.size > 1]
        return (
            any(x in self.of and not _is_complex(x) for x in arrays)
            and all(self.has(x) and not _is_complex(x) for x in arrays)
            and (is_elementwise(node) or is_view(node))
        )

    def row(self, value: Value) -> Value:
        """The row of an array; that of one from outside is its memory."""
        number = _behind_views(value)
        if number.size == 1:
            return number
        if value not in self.of:
            self.of[value] = Value(_row_type(value), base=value)
        return self.of[value]


def _is_complex(value: Value) -> bool:
    return value.dtype.startswith("complex")


def _row_type(value: Value) -> Any:
    """The type of an array's numbers in one row."""
    if not _is_complex(value):
        return value.aval.update(shape=(value.size,))
    dtype = np.dtype("float64" if value.dtype == "complex128" else "float32")
    return value.aval.update(shape=(2 * value.size,), dtype=dtype)


def _is_by_parts(node: Node) -> bool:
    """Whether a node computes complex arrays of one size from others, part by part."""
    if node.name not in BY_PARTS or not _is_complex(node.result):
        return False
    which = node.operands[:1] if node.name == "select_n" else ()
    arrays = node.operands[len(which) :]
    return all(x.size == 1 for x in which) and all(
        x.size == node.result.size > 1 for x in arrays
    )


def _stacked_from(node: Node) -> Value | None:
    """The array whose real and imaginary parts a node stacks."""
    if node.name not in ("stack", "concatenate") or len(node.operands) != 2:
        return None
    if node.eqn.params.get("axis", node.eqn.params.get("dimension")) != 0:
        return None
    real, imaginary = (_behind_views(x).node for x in node.operands)
    if real is None or imaginary is None:
        return None
    if (real.name, imaginary.name) != ("real", "imag"):
        return None
    (source,) = real.operands
    return source if imaginary.operands == (source,) and source.size > 1 else None


def _put_together(node: Node) -> Value | None:
    """The stacked parts that a node puts together to a complex array."""
    if node.name != "complex" or node.result.size == 1:
        return None
    sources = set()
    for place, half in enumerate(_behind_views(x).node for x in node.operands):
        if half is None or half.name != "slice":
            return None
        params = half.eqn.params
        first, last = params["start_indices"][0], params["limit_indices"][0]
        if (first, last) != (place, place + 1) or params["strides"] is not None:
            return None
        sources.add(half.operands[0])
    (source, *others) = sources
    return source if not others and source.size == 2 * node.result.size else None


def _behind_views(value: Value) -> Value:
    """The array that views show, element by element, or the number that they repeat."""
    while value.node is not None and value.node.name in VIEWS and is_view(value.node):
        value = value.node.operands[0]
    return value
