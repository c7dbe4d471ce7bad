"""Which operations go together into one kernel, and which stay with XLA.

A cluster is a set of operations that one kernel can compute, on single elements or row
by row: no value
leaves it, passes through something that is not elementwise, and comes back. The depth
of an operation is how often a value, on its way from the inputs to it, has left kernels
for XLA's operations. Operations of the same depth form a cluster if they are connected:
one reads what another has computed, or both read the same array.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from ._compiler import has_half_precision
from ._graph import Graph, Node, Value
from ._layout import Layout, layout
from ._operations import OPERATIONS, is_known
from ._rows import (
    computed_by_xla,
    computed_from,
    is_in_rows,
    repeated_by,
    shows_rows,
)

# A kernel sees all elements of an array in one row, so it can ignore these.
VIEWS = {"reshape", "squeeze", "expand_dims", "broadcast_in_dim", "copy", "copy_p"}
VIEWS |= {"optimization_barrier"}  # which keeps XLA from omitting a rounding
# Operations that XLA computes in one loop with their neighbors. If kernels do not
# support one, everything connected to it stays with XLA: kernels before and after it
# would write to memory what XLA's loop keeps in registers.
LOOPS = {
    *("exp", "exp2", "log", "expm1", "log1p", "logistic", "tanh", "pow", "cbrt"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh"),
    *("atanh", "atan2", "erf", "erfc", "erf_inv", "lgamma", "digamma", "nextafter"),
    *("rem", "real", "imag", "complex", "conj", "population_count"),
    *OPERATIONS,  # with unsupported dtypes, or along rows and columns
}
# Those that keep everything connected to them with XLA. The parts of a complex array do
# not: XLA computes them where they are read, such as in the squares of a norm, and a
# kernel may read the same array.
BARRIERS = LOOPS - {"real", "imag"}
# Operations that XLA computes where their result is read, such as broadcasting a row; a
# kernel would have to read the result from memory.
SOURCES = {"broadcast_in_dim", "iota", "transpose", "rev", "pad"}
# Operations that pass elements on to other arrays.
MOVES = {"concatenate", "slice", "split"}


@dataclass(frozen=True, eq=False)
class Cluster:
    """Operations that one kernel computes, in order."""

    depth: int
    nodes: list[Node]
    layout: Layout


@dataclass(frozen=True)
class Division:
    """What kernels compute, and when XLA computes the rest."""

    clusters: list[Cluster]
    depths: dict[Node, int]  # of XLA's operations; kernels of a depth come after them


def divide(graph: Graph, rejected: set[Node]) -> Division:
    """Divide the nodes of a graph between kernels and XLA.

    **Arguments:**

    - ``rejected``: nodes in rows that stay with XLA; others are added.
    """
    while True:
        fusible = _fusible(graph.nodes, rejected)
        depths = _earliest(graph.nodes, fusible)
        plain = {node: depths[node] for node in graph.nodes if node not in fusible}
        _delay(graph.nodes, fusible, depths)
        groups = _connected([node for node in graph.nodes if node in fusible], depths)
        clusters = []
        before = len(rejected)
        for nodes in groups:
            found = layout(nodes)
            if found is None:
                rejected.update(filter(is_in_rows, nodes))
            elif not all(map(only_shows, nodes)):
                clusters.append(Cluster(depths[nodes[0]], nodes, found))
        if len(rejected) == before:
            return Division(clusters, plain)


def _earliest(nodes: list[Node], fusible: set[Node]) -> dict[Node, int]:
    """The smallest possible depth of each node."""
    depths: dict[Node, int] = {}
    for node in nodes:
        depths[node] = 0
        for value in node.operands:
            source = value.source
            if source is not None:
                leaves = source in fusible and node not in fusible
                depths[node] = max(depths[node], depths[source] + leaves)
    return depths


def _delay(nodes: list[Node], fusible: set[Node], depths: dict[Node, int]) -> None:
    """Move the kernels' operations to the depth at which their result is first read.

    A kernel then need not write it for a later one.
    """
    for node in reversed(nodes):
        if node in fusible and node.result.readers:
            depths[node] = min(
                depths[reader] - (reader not in fusible)
                for reader in node.result.readers
            )


def _connected(nodes: list[Node], depths: dict[Node, int]) -> list[list[Node]]:
    """The nodes of each depth in connected groups."""
    leaders: dict[Node, Node] = {node: node for node in nodes}

    def leader(node: Node) -> Node:
        while leaders[node] is not node:
            leaders[node] = leaders[leaders[node]]
            node = leaders[node]
        return node

    first: dict[tuple[Value, int], Node] = {}  # to read or to compute a value
    for node in nodes:
        for value in (*computed_from(node), node.result):
            if value.size > 1:
                other = first.setdefault((value, depths[node]), node)
                leaders[leader(node)] = leader(other)
    groups: dict[Node, list[Node]] = {}
    for node in nodes:
        groups.setdefault(leader(node), []).append(node)
    return list(groups.values())


def only_shows(node: Node) -> bool:
    """Whether a node computes nothing, but shows the numbers of its operand."""
    return is_view(node) or shows_rows(node)


def is_view(node: Node) -> bool:
    """Whether a node only shows the elements of its operand, or one number for all."""
    if node.name == "pad":
        is_nothing = not any(map(any, node.eqn.params["padding_config"]))
        return is_nothing and node.result.size > 1
    if node.name not in VIEWS or len(node.results) > 1:
        return False
    if node.name == "reshape" and node.eqn.params.get("dimensions") is not None:
        return False
    return node.result.size > 1 and node.operands[0].size in (1, node.result.size)


def is_elementwise(node: Node) -> bool:
    """Whether a node is an operation on single elements that kernels support."""
    size = node.result.size if len(node.results) == 1 else 0
    if size <= 1:
        return False
    for value in node.operands:
        if value.size not in (1, size):
            return False
    dtypes = tuple([value.dtype for value in node.operands])
    return _is_supported(node.name, dtypes, node.result.dtype)


@cache
def _is_supported(name: str, operands: tuple[str, ...], result: str) -> bool:
    """Whether kernels on this machine support an operation on these dtypes."""
    return is_known(name, operands, result) and _has_instructions(*operands, result)


def _has_instructions(*dtypes: str) -> bool:
    """Whether this machine can convert numbers of these dtypes."""
    return "float16" not in dtypes or has_half_precision()


def _fusible(nodes: list[Node], rejected: set[Node]) -> set[Node]:
    """The nodes that kernels may compute, without some that are already rejected."""
    fusible = {node for node in nodes if is_view(node) or is_elementwise(node)}
    others = [node for node in nodes if node not in fusible and node not in rejected]
    in_rows = {n for n in others if is_in_rows(n) and _has_instructions(n.result.dtype)}
    fusible |= in_rows
    if in_rows:
        foreign = computed_by_xla(nodes, fusible)
        fusible -= {n for n in in_rows if not foreign.isdisjoint(repeated_by(n))}
    fusible -= _beside_loops(nodes, fusible)
    # XLA fuses values that only it reads, such as the squares of a norm.
    for node in reversed(nodes):
        value = node.result if node in fusible else None
        if value and not value.is_result and fusible.isdisjoint(value.readers):
            fusible.remove(node)
    return fusible


def _beside_loops(nodes: list[Node], fusible: set[Node]) -> set[Node]:
    """The fusible nodes that XLA would compute in one loop with one that is not."""
    others = [node for node in nodes if node not in fusible]
    pending = [node for node in others if _has_array(node, BARRIERS)]
    for node in others:
        if _has_array(node, SOURCES):
            pending += fusible.intersection(node.result.readers)
    if not pending:
        return set()
    carriers = {n for n in nodes if n in fusible or _has_array(n, LOOPS | MOVES)}
    reached: set[Node] = set()
    while pending:
        node = pending.pop()
        reached.add(node)
        arrays = [value for value in computed_from(node) if value.size > 1]
        neighbors: set[Any] = {value.node for value in arrays}
        # Also others that read the same, which must not overwrite what XLA's loop still
        # reads.
        for value in (*arrays, *node.results):
            neighbors.update(value.readers)
        pending += (neighbors & carriers) - reached
    return reached & fusible


def _has_array(node: Node, names: set[str]) -> bool:
    return node.name in names and any(value.size > 1 for value in node.results)
