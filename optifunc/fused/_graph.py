"""A jaxpr as a graph with inlined calls and without unused operations."""

from __future__ import annotations

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
    """An array: an input, a constant, a node's result, or a part of another.

    **Arguments:**

    - ``aval``: its type.
    - ``node``: the node that computes it.
    - ``constant``: its value, if known.
    - ``base``, ``offset``: the array that contains its memory, and where it starts.
    """

    __slots__ = (
        *("aval", "base", "constant", "dtype", "is_result", "node", "offset"),
        *("readers", "size"),
    )

    def __init__(
        self,
        aval: Any,
        node: Node | None = None,
        constant: Any = None,
        base: Value | None = None,
        offset: int = 0,
    ) -> None:
        self.aval, self.node, self.constant = aval, node, constant
        self.base, self.offset = base, offset
        self.dtype = dtype_name(getattr(aval, "dtype", ""))
        self.size = math.prod(getattr(aval, "shape", ()))
        self.readers: list[Node] = []
        self.is_result = False  # of the whole graph

    @property
    def is_number(self) -> bool:
        """Whether it is one known number."""
        known = self.constant
        return known is not None and isinstance(known, NUMBERS) and np.ndim(known) == 0

    @property
    def buffer(self) -> Value:
        """The array that contains its memory."""
        return self if self.base is None else self.base

    @property
    def source(self) -> Node | None:
        """The node that computes it or the array that contains it."""
        return self.node if self.base is None or self.node else self.base.node


NUMBERS = (bool, int, float, np.generic, np.ndarray)


class Node:
    """An operation.

    **Arguments:**

    - ``name``: that of the primitive.
    - ``operands``: its operands.
    - ``results``: its results.
    - ``eqn``: the equation of the jaxpr.
    """

    __slots__ = ("eqn", "name", "operands", "results")

    def __init__(
        self,
        name: str,
        operands: tuple[Value, ...],
        results: tuple[Value, ...],
        eqn: Any = None,
    ) -> None:
        self.name, self.operands, self.results, self.eqn = name, operands, results, eqn
        for value in results:
            value.node = self

    @property
    def result(self) -> Value:
        """The first result, which is the only one of most operations."""
        return self.results[0]

    def of_part(self, operands: tuple[Value, ...], size: int) -> Node:
        """The same operation on parts of vectors."""
        result = Value(self.result.aval.update(shape=(size,)))
        return Node(self.name, operands, (result,), self.eqn)


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in order, from inputs to results."""

    inputs: tuple[Value, ...]
    nodes: list[Node]
    results: tuple[Value, ...]


def graph(closed: core.ClosedJaxpr, known: Sequence[Any] | None = None) -> Graph:
    """The graph of a jaxpr, of whose arguments some may be ``known``, others None."""
    variables = closed.jaxpr.invars
    known = [None] * len(variables) if known is None else known
    inputs = tuple(
        Value(var.aval, constant=x) for var, x in zip(variables, known, strict=True)
    )
    nodes: list[Node] = []
    results = written_out(closed, inputs, nodes)
    return Graph(inputs, needed(nodes, results), tuple(results))


def with_separate_casts(graph: Graph) -> Graph:
    """The graph with a cast of its own for each reader of a cast input.

    A norm that XLA computes and a kernel may both read a narrow gradient, but not one
    wide copy, which would be in memory.
    """
    if not any(map(_is_cast_of_input, graph.nodes)):
        return graph
    nodes: list[Node] = []
    for node in graph.nodes:
        operands = []
        for value in node.operands:
            source = value.node
            if source is not None and _is_cast_of_input(source):
                copy = Node(
                    source.name, source.operands, (Value(value.aval),), source.eqn
                )
                nodes.append(copy)
                operands.append(copy.result)
            else:
                operands.append(value)
        node.operands = tuple(operands)
        nodes.append(node)
    return Graph(graph.inputs, needed(nodes, graph.results), graph.results)


def _is_cast_of_input(node: Node) -> bool:
    """Whether a node casts an input that several others read in the other dtype."""
    return (
        node.name == "convert_element_type"
        and node.operands[0].node is None
        and node.result.size > 1
        and len(node.result.readers) > 1
    )


def written_out(
    closed: core.ClosedJaxpr, inputs: Sequence[Value], nodes: list[Node]
) -> list[Value]:
    """Add the nodes of a jaxpr and of everything it calls; returns its results."""
    jaxpr = closed.jaxpr
    values: dict[Any, Value] = dict(zip(jaxpr.invars, inputs, strict=True))
    for var, constant in zip(jaxpr.constvars, closed.consts, strict=True):
        values[var] = Value(var.aval, constant=constant)

    def read(atom: Any) -> Value:
        if isinstance(atom, core.Literal):
            return Value(atom.aval, constant=atom.val)
        return values[atom]

    for eqn in jaxpr.eqns:
        name, operands = eqn.primitive.name, tuple(map(read, eqn.invars))
        called = eqn.params.get(CALLS[name]) if name in CALLS else None
        results: Sequence[Value]
        if isinstance(called, core.ClosedJaxpr):
            results = written_out(called, operands, nodes)
        elif name == "convert_element_type" and _can_fold(operands[0], eqn):
            results = (_folded(operands[0], eqn.outvars[0].aval),)
        else:
            results = tuple([Value(var.aval) for var in eqn.outvars])
            nodes.append(Node(name, operands, results, eqn))
        values.update(zip(eqn.outvars, results, strict=True))
    return list(map(read, jaxpr.outvars))


def _can_fold(value: Value, eqn: Any) -> bool:
    """Whether a conversion is of a known number, and the same everywhere."""
    is_float = value.dtype.startswith(("float", "bfloat", "complex"))
    return value.is_number and not (
        is_float and np.issubdtype(eqn.params["new_dtype"], np.integer)
    )


def _folded(value: Value, aval: Any) -> Value:
    """A known number in another dtype."""
    with np.errstate(over="ignore"):
        return Value(aval, constant=np.asarray(value.constant).astype(aval.dtype))


def needed(nodes: Sequence[Node], results: Sequence[Value]) -> list[Node]:
    """The nodes on which results depend; records the readers of each value."""
    for node in nodes:
        for value in (*node.operands, *node.results):
            value.readers = []
            value.buffer.readers = []
    for value in results:
        value.is_result = True
    kept = []
    for node in reversed(nodes):
        if any(value.is_result or value.readers for value in node.results):
            kept.append(node)
            for value in node.operands:
                value.readers.append(node)
                if value.node is None and value.base is not None:
                    value.base.readers.append(node)
    return kept[::-1]
