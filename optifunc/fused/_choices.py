"""Choices between functions that kernels can compute, taken element by element.

Where a condition decides whether a step is done, XLA computes one branch, and copies
arrays so that the results of both are in one place. If the branches are elementwise, a
kernel computes both in the loop that reads the arrays anyway, and keeps one.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.extend import core

from ._clusters import LOOPS, MOVES, VIEWS, is_elementwise, is_view
from ._graph import Graph, Node, Value, graph, needed, written_out
from ._pairs import in_pairs, repeats_one_number
from ._rows import LONGEST, REDUCTIONS, is_in_rows
from ._segments import is_join
from ._settled import settled


def chosen_by_element(whole: Graph) -> Graph:
    """The graph with selections in place of the choices between such functions.

    The values and nodes of ``whole`` become those of the new one.
    """
    if not any(node.name == "cond" for node in whole.nodes):
        return whole
    nodes: list[Node] = []
    replaced: dict[Value, Value] = {}

    def add(node: Node) -> None:
        node.operands = tuple(replaced.get(value, value) for value in node.operands)
        selection = _selection(node) if node.name == "cond" else None
        if selection is None:
            nodes.append(node)
            return
        inner: list[Node] = []
        results = written_out(selection, node.operands, inner)
        for member in inner:  # with choices of its own
            add(member)
        for old, new in zip(node.results, results, strict=True):
            replaced[old] = replaced.get(new, new)

    for node in whole.nodes:
        add(node)
    results = [replaced.get(value, value) for value in whole.results]
    return Graph(whole.inputs, needed(nodes, results), tuple(results))


def _selection(node: Node) -> core.ClosedJaxpr | None:
    """All branches of a choice and the selection of their results, if that is cheap."""
    branches: tuple[core.ClosedJaxpr, ...] = node.eqn.params["branches"]
    known = [value.constant for value in node.operands[1:]]
    if not all(_is_cheap(branch, known) for branch in branches):
        return None

    def selected(which: Any, *operands: Any) -> list[Any]:
        first, *others = (core.jaxpr_as_fun(branch)(*operands) for branch in branches)
        for i, results in enumerate(others):
            chosen = jax.lax.gt(which, np.array(i, which.dtype))
            first = [
                jax.lax.select(chosen, new, old)
                for old, new in zip(first, results, strict=True)
            ]
        return list(first)

    return jax.make_jaxpr(selected)(*(value.aval for value in node.operands))


def _is_cheap(branch: core.ClosedJaxpr, known: list[Any]) -> bool:
    """Whether a branch has no more than kernels compute, and numbers."""
    if branch.effects:
        return False
    found = in_pairs(settled(chosen_by_element(graph(branch, known)))[0])
    cheap = (
        is_elementwise,
        is_view,
        is_in_rows,
        _is_small,
        is_join,
        repeats_one_number,
    )
    return found is not None and all(
        any(is_it(x) for is_it in cheap) for x in found.nodes
    )


def _is_small(node: Node) -> bool:
    """Whether a node only moves elements, or computes few."""
    if node.name in MOVES:
        return True
    largest = max(value.size for value in (*node.operands, *node.results))
    if node.name in LOOPS | VIEWS:
        return largest <= 1
    return node.name in REDUCTIONS | {"gather", "pad"} and largest <= LONGEST
