"""A jaxpr as a graph, in which calls are written out and what nobody needs left out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jax.extend import core

# Primitives that are calls, and the parameter that holds what they call.
CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "fused": "jaxpr",
}


@cache
def dtype_name(dtype: Any) -> str:
    """The name of a dtype."""
    return str(dtype)


class Value:
    """An array: an input, a constant, or what a node computes.

    **Arguments:**

    - ``aval``: its type.
    - ``node``: the node that computes it.
    - ``constant``: what it is, if that is known.
    """

    __slots__ = ("aval", "constant", "dtype", "is_result", "node", "readers", "size")

    def __init__(
        self, aval: Any, node: "Node | None" = None, constant: Any = None
    ) -> None:
        self.aval, self.node, self.constant = aval, node, constant
        self.dtype = dtype_name(getattr(aval, "dtype", ""))
        self.size = math.prod(getattr(aval, "shape", ()))
        self.readers: list[Node] = []
        self.is_result = False  # of the whole graph

    @property
    def is_number(self) -> bool:
        """Whether it is one number that is known now."""
        kinds = bool | int | float | np.generic | np.ndarray
        return isinstance(self.constant, kinds) and np.ndim(self.constant) == 0


class Node:
    """An operation.

    **Arguments:**

    - ``eqn``: the equation of the jaxpr.
    - ``operands``: what it is applied to.
    """

    __slots__ = ("eqn", "name", "operands", "results")

    def __init__(self, eqn: core.JaxprEqn, operands: tuple[Value, ...]) -> None:
        self.eqn, self.operands = eqn, operands
        self.name = eqn.primitive.name
        self.results = tuple(Value(var.aval, self) for var in eqn.outvars)

    @property
    def result(self) -> Value:
        """The first result, which is the only one of most operations."""
        return self.results[0]


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in order, from inputs to results."""

    inputs: tuple[Value, ...]
    nodes: list[Node]
    results: tuple[Value, ...]


def graph(closed: core.ClosedJaxpr) -> Graph:
    """The graph of a jaxpr."""
    inputs = tuple(Value(var.aval) for var in closed.jaxpr.invars)
    nodes: list[Node] = []
    results = _written_out(closed, inputs, nodes)
    for value in results:
        value.is_result = True
    return Graph(inputs, _needed(nodes), tuple(results))


def _written_out(
    closed: core.ClosedJaxpr, inputs: Sequence[Value], nodes: list[Node]
) -> list[Value]:
    """Add the nodes of a jaxpr and of all that it calls; returns its results."""
    jaxpr = closed.jaxpr
    values: dict[Any, Value] = dict(zip(jaxpr.invars, inputs, strict=True))
    for var, constant in zip(jaxpr.constvars, closed.consts, strict=True):
        values[var] = Value(var.aval, constant=constant)

    def read(atom: Any) -> Value:
        if isinstance(atom, core.Literal):
            return Value(atom.aval, constant=atom.val)
        return values[atom]

    for eqn in jaxpr.eqns:
        operands = tuple(map(read, eqn.invars))
        called = eqn.params.get(CALLS.get(eqn.primitive.name, ""))
        results: Sequence[Value]
        if isinstance(called, core.ClosedJaxpr):
            results = _written_out(called, operands, nodes)
        else:
            nodes.append(Node(eqn, operands))
            results = nodes[-1].results
        values.update(zip(eqn.outvars, results, strict=True))
    return list(map(read, jaxpr.outvars))


def _needed(nodes: Sequence[Node]) -> list[Node]:
    """The nodes on which results depend; notes the readers of each value."""
    kept = []
    for node in reversed(nodes):
        if any(value.is_result or value.readers for value in node.results):
            kept.append(node)
            for value in node.operands:
                value.readers.append(node)
    return kept[::-1]
