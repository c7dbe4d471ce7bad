"""A function as XLA's operations and calls of kernels, in an order that works."""

from dataclasses import dataclass
from typing import TypeAlias

from jax.extend import core

from ._clusters import Cluster, divide, is_view
from ._graph import Graph, Node, Value, graph
from ._operations import options_of
from ._program import Array, Computed, Operand, Operation, Program, Read, number
from ._segments import segmented

# Leaves with the same program share a call, which has a few buffers for each.
GROUPS_A_CALL = 64


@dataclass(frozen=True, eq=False)
class Group:
    """One cluster as a program and the arrays that it is applied to."""

    program: Program
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """Groups of one program, computed by one call."""

    program: Program
    groups: tuple[Group, ...]

    def inputs(self) -> list[Value]:
        """The buffers that are read, each once."""
        reads = (value.buffer for group in self.groups for value in group.inputs)
        return list(dict.fromkeys(reads))

    def outputs(self) -> list[Value]:
        """The buffers that are written, each once."""
        writes = (value.buffer for group in self.groups for value in group.outputs)
        return list(dict.fromkeys(writes))

    def table(self) -> tuple[int, ...]:
        """What the runtime is told of the groups: see runtime.c."""
        reads = {value: i for i, value in enumerate(self.inputs())}
        writes = {value: len(reads) + i for i, value in enumerate(self.outputs())}
        rows = []
        for group in self.groups:
            rows.append(group.outputs[0].size)
            slots = [(reads, value) for value in group.inputs]
            slots += [(writes, value) for value in group.outputs]
            for place, value in slots:
                rows += [place[value.buffer], value.offset * value.aval.dtype.itemsize]
        return tuple(rows)

    def pairs(self, memory: dict[Value, Value]) -> tuple[tuple[int, int], ...]:
        """Which buffers that are read may be those that are written.

        That is: where all that is read lies at the same place as what the same group
        writes; another group may read after this one has written.

        **Arguments:**

        - ``memory``: for results of the whole, the inputs that are written over.
        """
        reads: dict[Value, set[tuple[int, int]]] = {}
        writes: dict[Value, set[tuple[int, int]]] = {}
        for i, group in enumerate(self.groups):
            for value in group.inputs:
                reads.setdefault(value.buffer, set()).add((i, value.offset))
            for value in group.outputs:
                writes.setdefault(value.buffer, set()).add((i, value.offset))
        place = {value: i for i, value in enumerate(reads)}
        return tuple(
            (place[memory[value]], i)
            for i, (value, written) in enumerate(writes.items())
            if value in memory and reads.get(memory[value], {None}) <= written
        )


Step: TypeAlias = Node | Call


def plan(closed: core.ClosedJaxpr) -> tuple[Graph, list[Step]]:
    """The graph of a jaxpr, and the steps that compute it, in order."""
    cut = segmented(graph(closed))
    steps = None if cut is None else _steps(cut)
    if cut is not None and steps is not None:
        return cut, steps
    whole = graph(closed)
    steps = _steps(whole)
    assert steps is not None
    return whole, steps


def _steps(graph: Graph) -> list[Step] | None:
    """The steps that compute a graph; None if several calls would write one vector.

    Views are no steps: whoever needs one outside of its cluster takes it of what it
    shows. Nor are vectors that kernels write the parts of.
    """
    division = divide(graph)
    steps: dict[int, list[Step]] = {}
    for node, depth in division.depths.items():
        if node.name != "join":
            steps.setdefault(depth, []).append(node)
    similar: dict[tuple[int, Program], list[Group]] = {}
    for cluster in division.clusters:
        group = _group(cluster)
        similar.setdefault((cluster.depth, group.program), []).append(group)
    written: list[Value] = []
    for (depth, program), groups in similar.items():
        is_joined = any(x.base is not None for g in groups for x in g.outputs)
        size = len(groups) if is_joined else GROUPS_A_CALL
        for start in range(0, len(groups), size):
            call = Call(program, tuple(groups[start : start + size]))
            written += [value for group in call.groups for value in group.outputs]
            steps.setdefault(depth, []).append(call)
            if is_joined and not _writes_all_parts(call):
                return None
    joined = {x for n in graph.nodes if n.name == "join" for x in n.operands}
    if not joined.issubset(written):
        return None
    return [step for depth in sorted(steps) for step in steps[depth]]


def _writes_all_parts(call: Call) -> bool:
    """Whether all parts of the vectors that a call writes are written by it."""
    parts = {value for group in call.groups for value in group.outputs}
    joins = (x.node for x in call.outputs() if x.node and x.node.name == "join")
    return all(parts.issuperset(join.operands) for join in joins)


def _group(cluster: Cluster) -> Group:
    """The program of a cluster, and what it reads and writes."""
    members = set(cluster.nodes)
    numbers: dict[Value, Operand] = {}
    reads: dict[Value, Operand] = {}
    operations: list[Operation] = []

    def operand(value: Value) -> Operand:
        while value.node in members and is_view(value.node):
            value = value.node.operands[0]
        if value.is_number:
            return number(value.constant, value.dtype)
        if value.node in members:
            return numbers[value]
        return reads.setdefault(value, Read(len(reads)))

    def is_needed(value: Value) -> bool:
        """Outside of the cluster, itself or by a view of it."""
        return value.is_result or any(
            node not in members or (is_view(node) and is_needed(node.result))
            for node in value.readers
        )

    for node in cluster.nodes:
        if not is_view(node):
            options = options_of(node.name, node.eqn.params)
            operands = tuple(map(operand, node.operands))
            numbers[node.result] = Computed(len(operations))
            operations.append(
                Operation(node.name, operands, node.result.dtype, options)
            )
    outputs = tuple(filter(is_needed, numbers))
    program = Program(
        tuple(Array(value.dtype, value.size == 1) for value in reads),
        tuple(operations),
        tuple(numbers[value] for value in outputs),
    )
    return Group(program, tuple(reads), outputs)
