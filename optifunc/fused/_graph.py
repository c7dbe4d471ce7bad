"""A jaxpr as a graph: calls of functions written out, and what nobody needs left out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
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


@dataclass(eq=False, slots=True)
class Value:
    """An array: an input, a constant, or what a node computes."""

    aval: Any
    node: "Node | None" = None
    constant: Any = None
    # The nodes that read it.
    readers: "list[Node]" = field(default_factory=list)
    is_result: bool = False

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.aval.shape)

    @property
    def dtype(self) -> str:
        """The name of its dtype."""
        return str(getattr(self.aval, "dtype", ""))

    @property
    def is_number(self) -> bool:
        """Whether it is one number that is known now."""
        kinds = bool | int | float | np.generic | np.ndarray
        return isinstance(self.constant, kinds) and np.ndim(self.constant) == 0


@dataclass(eq=False, slots=True)
class Node:
    """An operation."""

    eqn: core.JaxprEqn
    operands: tuple[Value, ...]
    results: tuple[Value, ...] = ()

    @property
    def name(self) -> str:
        """The primitive's name."""
        return self.eqn.primitive.name

    @property
    def result(self) -> Value:
        """The only result."""
        (value,) = self.results
        return value


@dataclass(eq=False, slots=True)
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
    """Add the nodes of a jaxpr, those of functions that it calls included."""
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
        if isinstance(called, core.ClosedJaxpr):
            results: Sequence[Value] = _written_out(called, operands, nodes)
        else:
            node = Node(eqn, operands)
            results = node.results = tuple(Value(v.aval, node) for v in eqn.outvars)
            nodes.append(node)
        values.update(zip(eqn.outvars, results, strict=True))
    return [read(var) for var in jaxpr.outvars]


def _needed(nodes: Sequence[Node]) -> list[Node]:
    """The nodes on which results depend; notes the readers of each value."""
    kept = []
    for node in reversed(nodes):
        if any(value.is_result or value.readers for value in node.results):
            kept.append(node)
            for value in node.operands:
                value.readers.append(node)
    return kept[::-1]
