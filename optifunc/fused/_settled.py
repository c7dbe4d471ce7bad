"""Selections whose condition can be known, replaced by what they select.

`of.quantized` makes the decoding of an array wait for the encoding of another by a
selection that depends on a scale being negative, which no scale is. Kernels do not
need the order: they never hold a decoded array.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ._graph import Graph, Node, Value, needed

# Operations whose results are not below zero, whatever their operands are.
NEVER = {"abs", "sqrt", "square", "exp", "exp2", "logistic"}
# Those of which this is true if it is true of any operand, or of all.
IF_ANY = {"max"}
IF_ALL = {
    *("add", "mul", "div", "min", "reduce_max", "reduce_min", "reduce_sum", "reshape"),
    *("squeeze", "expand_dims", "broadcast_in_dim", "copy", "copy_p", "slice"),
    *("concatenate", "pad", "convert_element_type", "clamp"),
}


def settled(graph: Graph, kept: Collection[Any] = ()) -> tuple[Graph, dict[Value, Any]]:
    """The graph without selections between a value and one that is never selected.

    The values and nodes of ``graph`` become those of the new one.

    **Arguments:**

    - ``kept``: the equations of selections that are to stay.

    **Returns:** the graph, and the equation of the selection that was removed for each
    value that is now read directly.
    """
    signs = _Signs()
    replaced: dict[Value, Value] = {}
    removed: dict[Value, Any] = {}
    nodes = []
    for node in graph.nodes:
        node.operands = tuple(replaced.get(value, value) for value in node.operands)
        chosen = _chosen(node, signs)
        if chosen is None or any(node.eqn is eqn for eqn in kept):
            nodes.append(node)
        else:
            replaced[node.result] = chosen
            removed[chosen] = node.eqn
    if not removed:
        return graph, {}
    results = [replaced.get(value, value) for value in graph.results]
    return Graph(graph.inputs, needed(nodes, results), tuple(results)), removed


def _chosen(node: Node, signs: _Signs) -> Value | None:
    """What a selection gives if its condition is that a non-negative is negative."""
    if node.name != "select_n" or node.operands[0].size != 1:
        return None
    condition = node.operands[0].node
    if condition is None or condition.name != "lt":
        return None
    number, bound = condition.operands
    is_zero = bound.is_number and float(bound.constant) == 0
    return node.operands[1] if is_zero and signs.is_never_negative(number) else None


class _Signs:
    """Which values are never below zero; NaN is not."""

    def __init__(self) -> None:
        self._known: dict[Value, bool] = {}

    def is_never_negative(self, value: Value) -> bool:
        """Whether it is certain that no number of a value is below zero."""
        if value not in self._known:
            self._known[value] = False  # until it is known
            self._known[value] = self._find(value)
        return self._known[value]

    def _find(self, value: Value) -> bool:
        if value.is_number:
            return bool(value.constant >= 0)
        if value.dtype.startswith("uint") or value.dtype == "bool":
            return True
        node = value.node
        if node is None:
            return False
        if node.name in NEVER:
            return True
        if node.name in IF_ANY:
            return any(map(self.is_never_negative, node.operands))
        operands = node.operands[1:] if node.name == "select_n" else node.operands
        if node.name in IF_ALL or node.name == "select_n":
            return all(map(self.is_never_negative, operands))
        return False
