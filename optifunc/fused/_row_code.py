"""LLVM's form of a program with rows: for each row, one loop after the other.

An operation belongs to the first phase in which its operands are known. Each phase is a
loop over the row; after it, the numbers of the row that it determines are computed.
What a later phase needs again is kept in a small array in the cache. All arrays are
read in the first phase, before anything is written in their memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from ._code import INDEPENDENT, Code
from ._program import Computed, Operand, Operation, Per, Program, Read
from ._rows import REDUCTIONS
from ._types import TYPES, Type


def kept_bytes(program: Program) -> int:
    """How much memory the kernel of a program takes to connect its phases."""
    if not program.row:
        return 0
    kept = Phases(program).kept()
    return program.row * sum(TYPES[program.dtype_of(x)].bytes for x in kept)


class Phases:
    """In which phase each operand of a program is known.

    Numbers of a row are known before the phase of the same number.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self._of: list[int] = []  # of each operation
        for operation in program.operations:
            known = max(map(self.of, operation.operands), default=0)
            self._of.append(known + (operation.name in REDUCTIONS))
        loops = [self._of[n] for n, x in self._of_each() if x.per is not Per.ROW]
        for _, operation in self._of_each():
            if operation.name in REDUCTIONS:
                loops.append(self.of(operation.operands[0]))
        self.count = 1 + max(loops, default=0)  # of the loops

    def _of_each(self) -> Iterator[tuple[int, Operation]]:
        return enumerate(self.program.operations)

    def of(self, operand: Operand) -> int:
        """The phase of an operand."""
        return self._of[operand.number] if isinstance(operand, Computed) else 0

    def in_loop(self, phase: int) -> list[int]:
        """The operations of a phase."""
        return [
            n
            for n, operation in self._of_each()
            if operation.per is not Per.ROW and self._of[n] == phase
        ]

    def before(self, phase: int) -> list[int]:
        """The operations on numbers of the row that are computed before a phase."""
        return [
            n
            for n, operation in self._of_each()
            if operation.per is Per.ROW and self._of[n] == phase
        ]

    def reductions(self, phase: int) -> list[int]:
        """The operations that reduce what is computed in a phase."""
        return [
            n
            for n, operation in self._of_each()
            if operation.name in REDUCTIONS and self.of(operation.operands[0]) == phase
        ]

    def needed(self, phase: int) -> list[Operand]:
        """What a phase needs for each element, or pair, from earlier ones."""
        found: dict[Operand, None] = {}
        for n in (*self.in_loop(phase), *self.reductions(phase)):
            for operand in self.program.operations[n].operands:
                is_in_loop = self.program.per(operand) in (Per.ELEMENT, Per.PAIR)
                if is_in_loop and self.of(operand) < phase:
                    found[operand] = None
        return list(found)

    def kept(self) -> list[Operand]:
        """What any phase needs from earlier ones."""
        needed = map(self.needed, range(1, self.count))
        return list(dict.fromkeys(itertools.chain(*needed)))


@dataclass(eq=False)
class Lane:
    """One of the elements that an iteration computes, or the pair of them.

    **Arguments:**

    - ``number``: 0 or 1, for the first or second of a pair.
    - ``in_row``: its place in the row.
    - ``index``: its place in arrays; that of another one, if it does not exist.
    - ``count``: how many are before it in all rows.
    - ``is_inside``: whether it exists; "" if it certainly does.
    """

    number: int
    in_row: str
    index: str
    count: str
    is_inside: str = ""
    known: dict[Operand, str] = field(default_factory=dict)


class RowCode(Code):
    """A function that computes one row.

    **Arguments:**

    - ``program``: what is translated.
    - ``is_last``: whether the row may have fewer elements than others.
    """

    def __init__(self, program: Program, *, is_last: bool) -> None:
        super().__init__(program)
        self.is_last = is_last
        self.phases = Phases(program)
        self.width = 2 if program.has_pairs else 1  # elements in an iteration
        self._lanes: dict[Per, list[Lane]] = {}
        self._lane: Lane | None = None  # the current one
        self._kept: dict[Operand, str] = {}  # the arrays that connect phases

    def function(self, name: str) -> list[str]:
        """``name(slots, row, count)``, where ``count`` is the number of elements."""
        self.find_arrays()
        for operand in self.phases.kept():
            kept = self._kept[operand] = f"%kept{len(self._kept)}"
            held = _held(self.type_of(operand))
            array = f"alloca [{self.program.row} x {held}], align 64"
            self.lines.append(f"  {kept} = {array}")
        self.lines += [
            "  %waste = alloca i64, align 8",
            f"  %start = mul nsw i64 %row, {self.program.row}",
            f"  %first_pair = mul nsw i64 %row, {self.program.row // 2}",
            "  %last = sub nsw i64 %count, 1",
        ]
        self.read(Per.CALL)
        self.read(Per.ROW, "%row")
        before = "entry"
        for phase in range(self.phases.count):
            self._numbers_before(phase)
            before = self._loop(phase, before)
        self._numbers_before(self.phases.count)
        head = f"define internal void {name}(ptr %slots, i64 %row, i64 %count) {{"
        return [head, "entry:", *self.lines, "  ret void", "}"]

    def _numbers_before(self, phase: int) -> None:
        """Compute and write the numbers of the row that are known before a phase."""
        self.index = "%row"
        for n in self.phases.before(phase):
            operation = self.program.operations[n]
            if operation.name in REDUCTIONS:
                found = _from_order_key(self, operation, self._reduced(n))
                self.define(Computed(n), found)
            else:
                self.compute(n)
            self._write(Computed(n), "%row")

    def _loop(self, phase: int, before: str) -> str:
        """Add the loop of a phase; returns the label of what follows."""
        loop, index, after = f"loop{phase}", f"%j{phase}", f"after{phase}"
        count = self.program.row // self.width
        self.lines += [
            f"  br label %{loop}",
            f"{loop}:",
            f"  {index} = phi i64 [ 0, %{before} ], [ %next{phase}, %{loop} ]",
        ]
        for n in self.phases.reductions(phase):
            operation = self.program.operations[n]
            order, first = _order_type(operation), _first_in_order(operation)
            for lane in range(self.width):
                self.lines.append(
                    f"  %so_far{n}.{lane} = phi {order} "
                    f"[ {first}, %{before} ], [ %reduced{n}.{lane}, %{loop} ]"
                )
        self._iteration(phase, index)
        self.lines += [
            f"  %next{phase} = add nuw nsw i64 {index}, 1",
            f"  %more{phase} = icmp ult i64 %next{phase}, {count}",
            f"  br i1 %more{phase}, label %{loop}, label %{after}, "
            f"!llvm.loop !{_loop_number(phase, self.is_last)}",
            f"{after}:",
        ]
        return after

    def _iteration(self, phase: int, index: str) -> None:
        """Compute what belongs to a phase for one element or pair, and write it."""
        pair_index = self.line(f"add nsw i64 %first_pair, {index}")
        pair = Lane(0, index, pair_index, pair_index)
        elements = [self._element(number, index) for number in range(self.width)]
        self._lanes = {Per.PAIR: [pair], Per.ELEMENT: elements}
        if phase == 0:
            for per in self._lanes:
                for lane in self._each(per):
                    self.read(per, lane.index)
            for operand in self._kept:
                if isinstance(operand, Read):
                    self._save(operand)
        for operand in self.phases.needed(phase):
            self._restore(operand)
        for n in self.phases.in_loop(phase):
            for lane in self._each(self.program.operations[n].per):
                self.compute(n)
                self._write(Computed(n), lane.index)
            if Computed(n) in self._kept:
                self._save(Computed(n))
        for n in self.phases.reductions(phase):
            self._reduce(n)
        self._lane = None

    def _element(self, number: int, index: str) -> Lane:
        """The place of an element of an iteration."""
        if self.width == 2:
            index = self.line(f"shl nuw nsw i64 {index}, 1")
            index = self.line(f"or disjoint i64 {index}, {number}")
        count = self.line(f"add nsw i64 %start, {index}")
        if not self.is_last:
            return Lane(number, index, count, count)
        inside = self.line(f"icmp slt i64 {index}, %count")
        place = self.line(f"select i1 {inside}, i64 {index}, i64 %last")
        place = self.line(f"add nsw i64 %start, {place}")
        return Lane(number, index, place, count, inside)

    def _each(self, per: Per) -> Iterator[Lane]:
        """The pair, or each of its elements, as the current lane."""
        for lane in self._lanes[per]:
            self._lane, self.index = lane, lane.count
            yield lane

    def define(self, operand: Operand, value: str) -> None:
        """Note the value of an operand; that of an element in its lane."""
        if self.program.per(operand) is Per.ELEMENT and self._lane is not None:
            self._lane.known[operand] = value
        else:
            self.known[operand] = value

    def value(self, operand: Operand) -> str:
        """The name or the text of an operand's value."""
        known = {} if self._lane is None else self._lane.known
        return known[operand] if operand in known else super().value(operand)

    def compute(self, n: int) -> None:
        """Compute the result of an operation, in the current lane."""
        operation, lane = self.program.operations[n], self._lane
        operands = operation.operands
        if operation.name == "interleave" and lane is not None:
            self.define(Computed(n), self.value(operands[lane.number]))
        elif operation.name == "half":
            self._lane = self._lanes[Per.ELEMENT][operation.options[0]]
            value, self._lane = self.value(operands[0]), lane
            self.define(Computed(n), value)
        elif operation.name == "pad" and lane is not None:
            value, filling = map(self.value, operands)
            kind = TYPES[operation.dtype].computed
            if lane.is_inside:
                value = self.line(
                    f"select i1 {lane.is_inside}, {kind} {value}, {kind} {filling}"
                )
            self.define(Computed(n), value)
        else:
            super().compute(n)

    def _write(self, operand: Computed, index: str) -> None:
        """Write a result where it is asked for."""
        for i, written in enumerate(self.program.writes):
            if written == operand:
                self.write(i, index)

    def place(self, slot: int, kind: Type, index: str) -> str:
        """The address of a number of an array; a dummy for elements not there."""
        found, inside = super().place(slot, kind, index), ""
        if slot >= len(self.program.reads) and self._lane is not None:
            inside = self._lane.is_inside
        if not inside:
            return found
        return self.line(f"select i1 {inside}, ptr {found}, ptr %waste")

    def _kept_at(self, operand: Operand, lane: Lane) -> str:
        held, array = _held(self.type_of(operand)), self._kept[operand]
        return self.line(f"getelementptr {held}, ptr {array}, i64 {lane.in_row}")

    def _save(self, operand: Operand) -> None:
        """Keep a value for a later phase."""
        kind = self.type_of(operand)
        for lane in self._each(self.program.per(operand)):
            value = self.value(operand)
            if kind.is_bool:
                value = self.line(f"zext i1 {value} to i8")
            self.store(_held(kind), value, self._kept_at(operand, lane))

    def _restore(self, operand: Operand) -> None:
        """Get a value that an earlier phase kept."""
        kind = self.type_of(operand)
        for lane in self._each(self.program.per(operand)):
            place = self._kept_at(operand, lane)
            value = self.load(_held(kind), place)
            if kind.is_bool:
                value = self.line(f"trunc i8 {value} to i1")
            self.define(operand, value)

    def _reduce(self, n: int) -> None:
        """Take the current elements into account in a maximum or minimum."""
        operation = self.program.operations[n]
        order, name = _order_type(operation), self._extreme(n)
        for lane in self._each(Per.ELEMENT):
            key = _order_key(self, operation, self.value(operation.operands[0]))
            pair = f"{order} %so_far{n}.{lane.number}, {order} {key}"
            kept = f"%reduced{n}.{lane.number}"
            self.lines.append(f"  {kept} = call {order} @{name}({pair})")

    def _reduced(self, n: int) -> str:
        """The maximum or minimum of all elements, as an integer in their order."""
        order, name = _order_type(self.program.operations[n]), self._extreme(n)
        if self.width == 1:
            return f"%reduced{n}.0"
        pair = f"{order} %reduced{n}.0, {order} %reduced{n}.1"
        return self.line(f"call {order} @{name}({pair})")

    def _extreme(self, n: int) -> str:
        """LLVM's name of the larger or the smaller of two such integers."""
        operation = self.program.operations[n]
        order, kind = _order_type(operation), TYPES[operation.dtype]
        is_signed = kind.is_float or kind.is_signed
        extreme = operation.name.removeprefix("reduce_")
        name = f"llvm.{'s' if is_signed else 'u'}{extreme}.{order}"
        self.declared.add(f"declare {order} @{name}({order}, {order})")
        return name


def _held(kind: Type) -> str:
    """The type in which values are kept between phases."""
    return "i8" if kind.is_bool else kind.computed


def _order_type(operation: Operation) -> str:
    """The integers in whose order the numbers of an operation are."""
    computed = TYPES[operation.dtype].computed
    return {"float": "i32", "double": "i64"}.get(computed, computed)


def _first_in_order(operation: Operation) -> int:
    """What every number replaces in a maximum or minimum."""
    bits, kind = int(_order_type(operation)[1:]), TYPES[operation.dtype]
    is_max = operation.name == "reduce_max"
    if not (kind.is_float or kind.is_signed):
        return 0 if is_max else (1 << bits) - 1
    half = 1 << (bits - 1)
    return -half if is_max else half - 1


def _order_key(code: Code, operation: Operation, value: str) -> str:
    """An integer in the same order as a number; NaN is beyond all others.

    LLVM reduces integers in vectors, but floats only if there is no NaN.
    """
    kind, order = TYPES[operation.dtype], _order_type(operation)
    if not kind.is_float:
        return value
    pattern = code.line(f"bitcast {kind.computed} {value} to {order}")
    key = _mirrored(code, order, pattern)
    half = 2 ** (int(order[1:]) - 1)
    beyond = half - 1 if operation.name == "reduce_max" else -half
    nan = code.line(f"fcmp uno {kind.computed} {value}, {value}")
    return code.line(f"select i1 {nan}, {order} {beyond}, {order} {key}")


def _from_order_key(code: Code, operation: Operation, key: str) -> str:
    """The number that an integer of `_order_key` stands for."""
    kind, order = TYPES[operation.dtype], _order_type(operation)
    if not kind.is_float:
        return key
    pattern = _mirrored(code, order, key)
    return code.line(f"bitcast {order} {pattern} to {kind.computed}")


def _mirrored(code: Code, order: str, pattern: str) -> str:
    """Reverse the order of negative numbers; its own inverse."""
    bits = int(order[1:])
    sign = code.line(f"ashr {order} {pattern}, {bits - 1}")
    flipped = code.line(f"and {order} {sign}, {2 ** (bits - 1) - 1}")
    return code.line(f"xor {order} {pattern}, {flipped}")


def _loop_number(phase: int, is_last: bool) -> int:
    """The number of the metadata of a loop, which must be its own."""
    return 4 + 2 * phase + is_last


def row_kernel(program: Program) -> str:
    """``kernel(slots, begin, end)`` for a program with rows, as text.

    Blocks begin where rows do.
    """
    whole = RowCode(program, is_last=False)
    functions = whole.function("@row")
    codes, rest = [whole], ["  br label %done"]
    if program.is_ragged:
        last = RowCode(program, is_last=True)
        last.tables = whole.tables
        functions += last.function("@last_row")
        codes.append(last)
        rest = [
            f"  %left = srem i64 %end, {program.row}",
            "  %whole = icmp eq i64 %left, 0",
            "  br i1 %whole, label %done, label %last",
            "last:",
            "  call void @last_row(ptr %slots, i64 %stop, i64 %left)",
            "  br label %done",
        ]
    declarations = dict.fromkeys(x for code in codes for x in code.declarations())
    loops = [
        f"!{n} = distinct !{{!{n}, !2}}"
        for phase in range(whole.phases.count)
        for n in (_loop_number(phase, False), _loop_number(phase, True))
    ]
    lines = [
        *functions,
        "define internal void @kernel(ptr %slots, i64 %begin, i64 %end) {",
        "entry:",
        f"  %first = sdiv exact i64 %begin, {program.row}",
        f"  %stop = sdiv i64 %end, {program.row}",
        "  %any = icmp slt i64 %first, %stop",
        "  br i1 %any, label %rows, label %rest",
        "rows:",
        "  %row = phi i64 [ %first, %entry ], [ %next, %rows ]",
        f"  call void @row(ptr %slots, i64 %row, i64 {program.row})",
        "  %next = add nsw i64 %row, 1",
        "  %more = icmp slt i64 %next, %stop",
        "  br i1 %more, label %rows, label %rest",
        "rest:",
        *rest,
        "done:",
        "  ret void",
        "}",
    ]
    return "\n".join([*lines, *declarations, INDEPENDENT, *loops, ""])
