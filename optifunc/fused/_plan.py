"""A function as XLA's operations and calls of kernels, in an order that works."""

from dataclasses import dataclass
from typing import TypeAlias

from ._clusters import Cluster, divide, is_view
from ._graph import Graph, Node, Value
from ._operations import options_of
from ._program import Array, Computed, Operand, Operation, Program, Read, number

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
        """The arrays that are read, each once."""
        return list(dict.fromkeys(x for group in self.groups for x in group.inputs))

    def outputs(self) -> list[Value]:
        """The arrays that are written."""
        return [x for group in self.groups for x in group.outputs]

    def table(self) -> tuple[int, ...]:
        """What the runtime is told of the groups: see runtime.c."""
        buffers = [*self.inputs(), *self.outputs()]
        place = {value: i for i, value in enumerate(buffers)}
        rows = []
        for group in self.groups:
            rows.append(group.outputs[0].size)
            for value in (*group.inputs, *group.outputs):
                rows += [place[value], 0]
        return tuple(rows)


Step: TypeAlias = Node | Call


def plan(graph: Graph) -> list[Step]:
    """The steps that compute a graph, in order.

    Views are no steps: whoever needs one outside of its cluster takes it of what it
    shows.
    """
    division = divide(graph)
    steps: dict[int, list[Step]] = {}
    for node, depth in division.depths.items():
        steps.setdefault(depth, []).append(node)
    similar: dict[tuple[int, Program], list[Group]] = {}
    for cluster in division.clusters:
        group = _group(cluster)
        similar.setdefault((cluster.depth, group.program), []).append(group)
    for (depth, program), groups in similar.items():
        for start in range(0, len(groups), GROUPS_A_CALL):
            part = tuple(groups[start : start + GROUPS_A_CALL])
            steps.setdefault(depth, []).append(Call(program, part))
    return [step for depth in sorted(steps) for step in steps[depth]]


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
