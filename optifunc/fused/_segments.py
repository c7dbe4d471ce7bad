"""Vectors of concatenated leaves, replaced by the leaves that they consist of.

`flatten` joins leaves into vectors, for which it keeps state, and splits the updates
again. In XLA, this copies every array twice. Here, such vectors are processed leaf by
leaf: a kernel reads a leaf in place, and reads and writes its part of the state at an
offset. Nothing is joined or split, and a step over a thousand leaves has a few buffers
of state instead of thousands.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from ._clusters import is_elementwise, is_view
from ._graph import Graph, Node, Value, needed

Sizes = tuple[int, ...]


def segmented(graph: Graph) -> Graph | None:
    """The graph with leaves in place of vectors; None if that saves nothing.

    It is ``graph`` itself if there are no such vectors; otherwise the values and nodes
    of ``graph`` become those of the new one.
    """
    layouts = _layouts(graph.nodes)
    if not layouts:
        return graph
    nodes, parts, replaced = _cut(graph.nodes, layouts)
    computed = [x for x in parts if x.node is not None and is_elementwise(x.node)]
    return rejoined(graph, nodes, parts, replaced, computed)


def rejoined(
    graph: Graph,
    nodes: list[Node],
    parts: dict[Value, list[Value]],
    replaced: dict[Value, Value],
    computed: Iterable[Value],
) -> Graph | None:
    """The graph whose results consist of parts; None if it computes arrays twice.

    **Arguments:**

    - ``graph``: the graph before.
    - ``nodes``: its nodes and those that compute parts.
    - ``parts``: the parts of arrays.
    - ``replaced``: what takes the place of other values.
    - ``computed``: the arrays that are no longer needed because their parts are
      computed.
    """
    whole = {value: value.node for value in computed}
    for value in graph.results:
        value.is_result = False
    for value in dict.fromkeys(graph.results):
        if value in whole:
            nodes.append(_join(value, parts[value]))
            replaced[value] = nodes[-1].result
    results = [replaced.get(value, value) for value in graph.results]
    alive = needed(nodes, results)
    if not set(alive).isdisjoint(whole.values()):
        return None  # XLA needs an array as a whole
    return Graph(graph.inputs, alive, tuple(results))


def _layouts(nodes: list[Node]) -> dict[int, Sizes]:
    """The sizes of a vector's leaves by the size of the vector, if unambiguous."""
    found: dict[int, set[Sizes]] = {}
    for node in nodes:
        if node.name == "concatenate" and len(node.result.aval.shape) == 1:
            sizes = tuple(value.size for value in _pieces(node))
        elif node.name == "split" and len(node.operands[0].aval.shape) == 1:
            sizes = tuple(value.size for value in node.results)
        else:
            continue
        found.setdefault(sum(sizes), set()).add(sizes)
    # A kernel treats an array with one element as a scalar.
    return {
        total: sizes
        for total, (sizes, *others) in found.items()
        if not others and len(sizes) > 1 and min(sizes) > 1
    }


def _pieces(node: Node) -> list[Value]:
    """The parts of a vector; `jax.numpy.concatenate` joins many in stages."""
    pieces: list[Value] = []
    for value in node.operands:
        inner = value.node
        is_joined = inner is not None and inner.name == "concatenate"
        pieces += _pieces(inner) if inner is not None and is_joined else [value]
    return pieces


def _cut(
    nodes: list[Node], layouts: dict[int, Sizes]
) -> tuple[list[Node], dict[Value, list[Value]], dict[Value, Value]]:
    """The nodes and their copies for parts, the parts of vectors, and what replaces
    the leaves that vectors were split into.
    """
    result: list[Node] = []
    parts: dict[Value, list[Value]] = {}
    replaced: dict[Value, Value] = {}

    def column(value: Value, sizes: Sizes) -> list[Value]:
        """The operand for each part; a vector from outside is in memory."""
        if value.size == 1:
            return [value] * len(sizes)
        if value not in parts:
            starts = itertools.accumulate(sizes, initial=0)
            parts[value] = [
                Value(value.aval.update(shape=(size,)), base=value, offset=start)
                for size, start in zip(sizes, starts, strict=False)
            ]
        return parts[value]

    for node in nodes:
        node.operands = tuple(replaced.get(value, value) for value in node.operands)
        result.append(node)
        value, sizes = node.result, layouts.get(node.result.size)
        if node.name == "split" and node.operands[0] in parts:
            replaced.update(zip(node.results, parts[node.operands[0]], strict=True))
        elif sizes is None or len(value.aval.shape) != 1:
            continue
        elif node.name == "concatenate":
            parts[value] = [replaced.get(piece, piece) for piece in _pieces(node)]
        elif is_elementwise(node) or (is_view(node) and node.operands[0].size == 1):
            columns = [column(operand, sizes) for operand in node.operands]
            copies = [
                node.of_part(operands, size)
                for operands, size in zip(
                    zip(*columns, strict=True), sizes, strict=True
                )
            ]
            parts[value] = [copy.result for copy in copies]
            result += copies
    return result, parts, replaced


def is_join(node: Node) -> bool:
    """Whether a node stands for an array whose parts kernels write."""
    return node.name == "join"


def _join(value: Value, parts: list[Value]) -> Node:
    """The vector into which its parts are written."""
    join = Node("join", tuple(parts), (Value(value.aval),))
    start = 0
    for part in parts:
        part.base, part.offset, part.is_result = join.result, start, True
        start += part.size
    return join
