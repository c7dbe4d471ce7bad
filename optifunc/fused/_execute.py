"""A planned function as one that JAX traces: XLA's operations and calls of kernels."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core
from jax.interpreters import mlir

from ._compiler import target
from ._graph import Graph, Node, Value
from ._plan import Call, Step

kernel_p = core.Primitive("fused_kernel")
kernel_p.multiple_results = True


@kernel_p.def_abstract_eval
def _types(*args: Any, types: tuple[Any, ...], **params: Any) -> Sequence[Any]:
    return types


def _lower(ctx: Any, *operands: Any, name: str, types: Any, table: Any, pairs: Any) -> Any:
    lower = jax.ffi.ffi_lowering(name, operand_output_aliases=dict(pairs))
    return lower(ctx, *operands, table=np.array(table, np.int64))


mlir.register_lowering(kernel_p, _lower, platform="cpu")


class Executor:
    """A function of a graph's inputs that returns its results.

    **Arguments:**

    - ``graph``: the graph.
    - ``steps``: its plan.
    - ``order``: for each input, if it may be written over, a number that says when it
      has its turn.
    """

    def __init__(
        self, graph: Graph, steps: Sequence[Step], order: Sequence[int | None]
    ) -> None:
        self.graph, self.steps = graph, steps
        self.memory = _memory(graph, order)
        # Compiled now, while there is another way.
        self.targets = {s: target(s.program) for s in steps if isinstance(s, Call)}

    def __call__(self, *args: Any) -> list[Any]:
        values: dict[Value, Any] = dict(zip(self.graph.inputs, args, strict=True))

        def read(value: Value) -> Any:
            if value in values:
                return values[value]
            if value.node is None:
                return value.constant
            # A view inside of a cluster.
            values.update(_computed(value.node, list(map(read, value.node.operands))))
            return values[value]

        for step in self.steps:
            if isinstance(step, Call):
                found = self._called(step, list(map(read, step.inputs())))
                values.update(zip(step.outputs(), found, strict=True))
            else:
                values.update(_computed(step, list(map(read, step.operands))))
        return list(map(read, self.graph.results))

    def _called(self, step: Call, operands: list[Any]) -> list[Any]:
        place = {value: i for i, value in enumerate(step.inputs())}
        pairs = [
            (place[self.memory[value]], i)
            for i, value in enumerate(step.outputs())
            if self.memory.get(value) in place
        ]
        results: list[Any] = kernel_p.bind(
            *operands,
            name=self.targets[step],
            types=tuple(value.aval for value in step.outputs()),
            table=step.table(),
            pairs=tuple(pairs),
        )
        return results


def _computed(node: Node, operands: list[Any]) -> dict[Value, Any]:
    """What XLA computes for a node."""
    eqn = node.eqn
    params = eqn.primitive.get_bind_params(eqn.params)
    functions: Sequence[Any] = ()
    if isinstance(params, tuple):  # so in older versions of JAX
        functions, params = params
    with eqn.ctx.manager:
        found = eqn.primitive.bind(*functions, *operands, **params)
    results = found if eqn.primitive.multiple_results else [found]
    return dict(zip(node.results, results, strict=True))


def _memory(graph: Graph, order: Sequence[int | None]) -> dict[Value, Value]:
    """For results the inputs in whose memory they may be written.

    As JAX pairs donated arguments: each result with the first input of its type.
    """
    free: dict[Any, list[Value]] = {}
    turns = [(turn, i) for i, turn in enumerate(order) if turn is not None]
    for _, i in sorted(turns):
        value = graph.inputs[i]
        free.setdefault((value.aval.shape, value.dtype), []).append(value)
    memory = {}
    for value in graph.results:
        candidates = free.get((value.aval.shape, value.dtype))
        if candidates:
            memory[value] = candidates.pop(0)
    return memory
