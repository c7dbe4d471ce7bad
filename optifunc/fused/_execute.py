"""A planned function as one that JAX traces: XLA's operations and calls of kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core
from jax.interpreters import mlir

from .._jaxpr import results_of
from ._compiler import target
from ._graph import Graph, Node, Value
from ._plan import Call, plan, written_over

kernel_p = core.Primitive("fused_kernel")
kernel_p.multiple_results = True


def _kernel_types(*args: Any, types: tuple[Any, ...], **params: Any) -> Sequence[Any]:
    return types


def _lower_kernel(
    ctx: Any, *operands: Any, name: str, types: Any, table: Any, pairs: Any
) -> Any:
    lower = jax.ffi.ffi_lowering(name, operand_output_aliases=dict(pairs))
    return lower(ctx, *operands, table=np.array(table, np.int64))


kernel_p.def_abstract_eval(_kernel_types)
mlir.register_lowering(kernel_p, _lower_kernel, platform="cpu")


class Execution:
    """A function of a jaxpr's arguments that returns its results, planned and compiled.

    **Arguments:**

    - ``closed``: the jaxpr.
    - ``order``: for each input, its position in the order of reuse, if it may be
      overwritten; otherwise None.
    """

    def __init__(self, closed: core.ClosedJaxpr, order: Sequence[int | None]) -> None:
        self.graph, self.steps = plan(closed)
        calls = [step for step in self.steps if isinstance(step, Call)]
        self.memory = written_over(calls, _memory(self.graph, order))
        # Compile now, while there is still an alternative.
        self.targets = {call: target(call.program) for call in calls}

    def __call__(self, *args: Any) -> list[Any]:
        values: dict[Value, Any] = dict(zip(self.graph.inputs, args, strict=True))
        for step in self.steps:
            if isinstance(step, Call):
                begun = {x: values[x] for x in step.outputs if x in values}
                operands = [_read(value, values) for value in step.inputs]
                found = self._called(step, operands, begun)
                values.update(zip(step.outputs, found, strict=True))
            else:
                _compute(step, values)
        return [_read(value, values) for value in self.graph.results]

    def _called(
        self, call: Call, operands: list[Any], begun: dict[Value, Any]
    ) -> list[Any]:
        """The results of a call of a kernel.

        **Arguments:**

        - ``operands``: what it reads.
        - ``begun``: vectors whose other parts earlier calls have written.
        """
        place = {value: i for i, value in enumerate(call.inputs)}
        pairs = []
        for i, value in enumerate(call.outputs):
            given = self.memory.get(value)
            if given is not None:
                # The unwritten part of an overwritten vector is unchanged.
                operands[place[given]] = begun.get(value, operands[place[given]])
                pairs.append((place[given], i))
            elif value in begun:
                operands.append(begun[value])
                pairs.append((len(operands) - 1, i))
        results: list[Any] = kernel_p.bind(
            *operands,
            name=self.targets[call],
            types=tuple(value.aval for value in call.outputs),
            table=call.table(len(operands)),
            pairs=tuple(pairs),
        )
        return results


def _read(value: Value, values: dict[Value, Any]) -> Any:
    """The array of ``value``, given those of ``values``."""
    if value in values:
        return values[value]
    if value.base is not None:
        end = value.offset + value.size
        return jax.lax.slice(_read(value.base, values), (value.offset,), (end,))
    if value.node is None:
        return value.constant
    _compute(value.node, values)  # a view
    return values[value]


def _compute(node: Node, values: dict[Value, Any]) -> None:
    """Add the results of an operation of XLA's to ``values``."""
    operands = [_read(value, values) for value in node.operands]
    found = results_of(node.eqn, operands)
    values.update(zip(node.results, found, strict=True))


def _memory(graph: Graph, order: Sequence[int | None]) -> dict[Value, Value]:
    """The inputs in whose memory results may be written.

    Like JAX for donated arguments, this pairs each result with the first input of its
    type.
    """
    turns = [(turn, i) for i, turn in enumerate(order) if turn is not None]
    free: dict[Any, list[Value]] = {}
    for _, i in sorted(turns, reverse=True):
        value = graph.inputs[i]
        free.setdefault((value.aval.shape, value.dtype), []).append(value)
    memory = {}
    for value in graph.results:
        candidates = free.get((value.aval.shape, value.dtype))
        if candidates:
            memory[value] = candidates.pop()
    return memory
