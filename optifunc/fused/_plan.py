"""A function as XLA's operations and kernel calls, in a valid order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from jax.extend import core

from ._choices import chosen_by_element
from ._clusters import Cluster, divide, is_view, only_shows
from ._graph import Graph, Node, Value, graph, with_separate_casts
from ._pairs import in_pairs, reads_pairs
from ._program import Array, Computed, Operand, Operation, Program, Read, number
from ._row_code import kept_bytes
from ._rows import described, is_in_rows, repeats_along_rows
from ._segments import is_join, segmented
from ._settled import settled

# Leaves with the same program share calls with about this many buffers: XLA's time to
# compile a call grows with the square of their number. (Very small leaves then occupy
# only a few threads, but in their steps most of the time goes to passing arrays.)
BUFFERS_A_CALL = 150

# Bytes. What the phases of a kernel leave for the next ones is on the stack, and should
# stay in the cache.
MOST_KEPT = 2**18


@dataclass(frozen=True, eq=False)
class Group:
    """One cluster as a program and the arrays that it is applied to."""

    program: Program
    elements: int
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """Groups with the same program, computed by one call."""

    program: Program
    groups: tuple[Group, ...]

    @cached_property
    def inputs(self) -> list[Value]:
        """The buffers that are read, each once."""
        reads = (value.buffer for group in self.groups for value in group.inputs)
        return list(dict.fromkeys(reads))

    @cached_property
    def outputs(self) -> list[Value]:
        """The buffers that are written, each once."""
        writes = (value.buffer for group in self.groups for value in group.outputs)
        return list(dict.fromkeys(writes))

    def table(self, operands: int) -> tuple[int, ...]:
        """The description of the groups for the runtime: see runtime.c.

        **Arguments:**

        - ``operands``: the number of arrays that the call receives; results come after
          them.
        """
        reads = {value: i for i, value in enumerate(self.inputs)}
        writes = {value: operands + i for i, value in enumerate(self.outputs)}
        rows = []
        for group in self.groups:
            rows.append(group.elements)
            slots = [(reads, value) for value in group.inputs]
            slots += [(writes, value) for value in group.outputs]
            for place, value in slots:
                rows += [place[value.buffer], value.offset * value.aval.dtype.itemsize]
        return tuple(rows)


def written_over(
    calls: Sequence[Call], memory: dict[Value, Value]
) -> dict[Value, Value]:
    """The inputs in whose memory calls may write results.

    This requires that all calls that write parts of the result read the input, and each
    group reads only what is at the same place as what it writes, because another group
    may read after this one has written.

    **Arguments:**

    - ``memory``: for results of the whole function, the inputs to overwrite.
    """
    reads: dict[tuple[Call, Value], set[tuple[Group, int]]] = {}
    writes: dict[Value, dict[Call, set[tuple[Group, int]]]] = {}
    for call in calls:
        for group in call.groups:
            for value in group.inputs:
                found = reads.setdefault((call, value.buffer), set())
                found.add((group, value.offset))
            for value in group.outputs:
                by_call = writes.setdefault(value.buffer, {})
                by_call.setdefault(call, set()).add((group, value.offset))

    def may_be(result: Value, given: Value) -> bool:
        return all(
            (call, given) in reads and reads[call, given] <= written
            for call, written in writes[result].items()
        )

    return {
        result: given
        for result, given in memory.items()
        if result in writes and may_be(result, given)
    }


Step: TypeAlias = Node | Call
Rewrites: TypeAlias = Sequence[Callable[[Graph], Graph | None]]


def plan(closed: core.ClosedJaxpr) -> tuple[Graph, list[Step]]:
    """The graph of a jaxpr, and the steps that compute it, in order."""
    # Vectors first: the row of a complex array is not to be taken for one.
    for rewrites in ((segmented, in_pairs), (segmented,), (in_pairs,), ()):
        planned, waiting = _without_selections(closed, rewrites, kept=())
        if waiting:
            planned, waiting = _without_selections(closed, rewrites, kept=waiting)
        if waiting:
            planned = _rewritten_steps(chosen_by_element(graph(closed)), rewrites)
        if planned is not None:
            return planned
    raise AssertionError("a graph as it is has steps")


def _without_selections(
    closed: core.ClosedJaxpr, rewrites: Rewrites, kept: Sequence[Any]
) -> tuple[tuple[Graph, list[Step]] | None, list[Any]]:
    """A plan without the selections that XLA alone needs, to take turns.

    **Arguments:**

    - ``kept``: the equations of those that stay.

    **Returns:** the plan, and the equations of others that XLA needs in it.
    """
    found, removed = settled(chosen_by_element(graph(closed)), kept)
    planned = _rewritten_steps(found, rewrites)
    return planned, [] if planned is None else _read_by_xla(planned[1], removed)


def _rewritten_steps(
    graph: Graph, rewrites: Rewrites
) -> tuple[Graph, list[Step]] | None:
    """A graph after some rewrites, and its steps; None if they are not possible."""
    graph = with_separate_casts(graph)
    for rewrite in rewrites:
        rewritten = rewrite(graph)
        if rewritten is None:
            return None
        graph = rewritten
    steps = _steps(graph)
    return None if steps is None else (graph, steps)


def _read_by_xla(steps: Sequence[Step], removed: dict[Value, Any]) -> list[Any]:
    """The removed selections of arrays that XLA reads, which has to take turns."""
    read = [x for step in steps if isinstance(step, Node) for x in step.operands]
    found = []
    for value in dict.fromkeys(read):
        while value not in removed and value.node is not None and is_view(value.node):
            value = value.node.operands[0]
        if value.size > 1 and value in removed:
            found.append(removed[value])
    return found


def _steps(graph: Graph) -> list[Step] | None:
    """The steps that compute a graph; None if XLA would have to read or write parts.

    Views are not steps: outside their cluster, they are computed from the array that
    they show. Nor are vectors whose parts kernels write.
    """
    rejected: set[Node] = set()
    while True:
        division = divide(graph, rejected)
        clusters = [(cluster, _group(cluster)) for cluster in division.clusters]
        large = [c for c, g in clusters if kept_bytes(g.program) > MOST_KEPT]
        if not large:
            break
        rejected.update(n for c in large for n in c.nodes if is_in_rows(n))
    steps: dict[int, list[Step]] = {}
    plain = [node for node in division.depths if not is_join(node)]
    for node in plain:
        steps.setdefault(division.depths[node], []).append(node)
    similar: dict[tuple[int, Program], list[Group]] = {}
    for cluster, group in clusters:
        similar.setdefault((cluster.depth, group.program), []).append(group)
    for (depth, program), groups in similar.items():
        whole = Call(program, tuple(groups))
        buffers = len(whole.inputs) + len(whole.outputs)
        size = max(1, BUFFERS_A_CALL * len(groups) // buffers)
        for start in range(0, len(groups), size):
            call = Call(program, tuple(groups[start : start + size]))
            steps.setdefault(depth, []).append(call)
    written = {x for groups in similar.values() for g in groups for x in g.outputs}
    joined = {x for n in graph.nodes if is_join(n) for x in n.operands}
    if not joined <= written or any(map(reads_pairs, plain)):
        return None
    return [step for depth in sorted(steps) for step in steps[depth]]


def _group(cluster: Cluster) -> Group:
    """The program of a cluster, and what it reads and writes."""
    members, layout = set(cluster.nodes), cluster.layout
    numbers: dict[Value, Computed] = {}
    reads: dict[Value, Operand] = {}
    operations: list[Operation] = []

    def operand(value: Value) -> Operand:
        while value.node in members and only_shows(value.node):
            value = value.node.operands[0]
        if value.is_number:
            return number(value.constant, value.dtype)
        if value.node in members:
            return numbers[value]
        return reads.setdefault(value, Read(len(reads)))

    for node in cluster.nodes:
        if not only_shows(node):
            name, given, options = described(node)
            operands, per = tuple(map(operand, given)), layout.per(node.result)
            dtype = node.result.dtype
            numbers[node.result] = Computed(len(operations))
            operations.append(Operation(name, operands, dtype, options, per))
    outputs = {}
    for value, computed in numbers.items():
        read = set(_read_outside(value, members))
        if read:
            # In the form in which it is read, so that XLA need not copy it.
            outputs[read.pop() if len(read) == 1 else value] = computed
    program = Program(
        tuple(Array(value.dtype, layout.per(value)) for value in reads),
        tuple(operations),
        tuple(outputs.values()),
        layout.row,
        layout.is_ragged,
    )
    return Group(program, layout.elements, tuple(reads), tuple(outputs))


def _read_outside(value: Value, members: set[Node]) -> Iterator[Value]:
    """The forms in which a value is read outside a cluster: itself, or views of it."""
    if value.is_result or not members.issuperset(value.readers):
        yield value
    for node in members.intersection(value.readers):
        if repeats_along_rows(node) and any(_read_outside(node.result, members)):
            yield value
        elif only_shows(node):
            yield from _read_outside(node.result, members)
