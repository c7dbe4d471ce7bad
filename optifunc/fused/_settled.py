"""Selections whose condition can be known, replaced by what they select.

`of.quantized` makes the decoding of an array wait for the encoding of another by a
selection that depends on a scale being negative, which no scale is. Kernels do not
need the order: they never hold a decoded array.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ._graph import Graph, Node, Value, needed

# Operations on floats whose results are not below zero, whatever their operands are.
NEVER_NEGATIVE = {"abs", "sqrt", "square", "exp", "exp2", "logistic"}
# Those of which this is true if it is true of any operand, or of all.
IF_ANY_OPERAND = {"max"}
IF_ALL_OPERANDS = {
    *("add", "mul", "min", "clamp", "reduce_max", "reduce_min", "reduce_sum"),
    *("reshape", "squeeze", "expand_dims", "broadcast_in_dim", "copy", "copy_p"),
    *("slice", "concatenate", "pad", "convert_element_type", "select_n"),
}
# How far to look for an answer.
STEPS = 20


def settled(graph: Graph, kept: Collection[Any] = ()) -> tuple[Graph, dict[Value, Any]]:
    """The graph without selections between a value and one that is never selected.

    The values and nodes of ``graph`` become those of the new one.

    **Arguments:**

    - ``kept``: the equations of selections that are to stay.

    **Returns:** the graph, and the equation of the selection that was removed for each
    value that is now read directly.
    """
    replaced: dict[Value, Value] = {}
    removed: dict[Value, Any] = {}
    nodes = []
    for node in graph.nodes:
        node.operands = tuple(replaced.get(value, value) for value in node.operands)
        chosen = _chosen(node)
        if chosen is None or any(node.eqn is eqn for eqn in kept):
            nodes.append(node)
        else:
            replaced[node.result] = chosen
            removed[chosen] = node.eqn
    if not removed:
        return graph, {}
    results = [replaced.get(value, value) for value in graph.results]
    return Graph(graph.inputs, needed(nodes, results), tuple(results)), removed


def _chosen(node: Node) -> Value | None:
    """What a selection gives if its condition is that a non-negative is negative."""
    if node.name != "select_n" or node.operands[0].size != 1:
        return None
    condition = node.operands[0].node
    if condition is None or condition.name != "lt":
        return None
    number, bound = condition.operands
    is_zero = bound.is_number and float(bound.constant) == 0
    return node.operands[1] if is_zero and _Signs().is_never_negative(number) else None


class _Signs:
    """Whether values are never below zero, as far as a short search can tell."""

    def __init__(self) -> None:
        self._known: dict[Value, bool] = {}

    def is_never_negative(self, value: Value, steps: int = STEPS) -> bool:
        """Whether it is certain that no number of a value is below zero."""
        if value not in self._known:
            self._known[value] = self._find(value, steps)
        return self._known[value]

    def _find(self, value: Value, steps: int) -> bool:
        if value.is_number:
            return bool(value.constant >= 0)
        if value.dtype.startswith("uint") or value.dtype == "bool":
            return True
        node = value.node
        # Sums and products of signed integers overflow.
        is_float = value.dtype.startswith(("float", "bfloat"))
        if node is None or steps == 0 or not is_float:
            return False
        operands, name = node.operands, node.name
        if name == "div":  # not by -0.0
            divisor = operands[1].constant if operands[1].is_number else 0
            return bool(divisor > 0) and self.is_never_negative(operands[0], steps - 1)
        if name in NEVER_NEGATIVE:
            return True
        if name == "select_n":
            operands = operands[1:]
        known = (self.is_never_negative(x, steps - 1) for x in operands)
        if name in IF_ANY_OPERAND:
            return any(known)
        is_empty = name == "reduce_max" and operands[0].size == 0
        return name in IF_ALL_OPERANDS and not is_empty and all(known)
