"""LLVM's form of a program without rows: a loop over a block of elements.

One iteration reads an element of each array, computes, and writes. A result may be in
the memory of an array that is read, at the same position: each iteration reads
everything before it writes, and LLVM is told that no iteration depends on another.
"""

from __future__ import annotations

import numpy as np

from . import _float8 as float8
from ._operations import emit
from ._program import Computed, Number, Operand, Per, Program, Read, number
from ._types import TYPES, Type, constant

# No iteration of a loop with !2 depends on another by accesses of the group !3.
INDEPENDENT = """\
!2 = !{!"llvm.loop.parallel_accesses", !3}
!3 = distinct !{}
"""
LOOP = f"""\
!0 = distinct !{{!0, !1, !2}}
!1 = !{{!"llvm.loop.vectorize.enable", i1 true}}
{INDEPENDENT}"""
FREE = ", !llvm.access.group !3"


class Code:
    """Lines of LLVM IR, each of which defines a name.

    **Arguments:**

    - ``program``: what is translated.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.lines: list[str] = []
        self.declared: set[str] = set()
        self.tables: dict[str, str] = {}
        self.index = "%i"  # the number of the current element, or row
        self.known: dict[Operand, str] = {}  # the values that the current loop has

    def line(self, text: str) -> str:
        """Add an expression; returns the name of its value."""
        name = f"%v{len(self.lines)}"
        self.lines.append(f"  {name} = {text}")
        return name

    def call(self, name: str, result: str, *arguments: tuple[str, str]) -> str:
        """Call a function with pairs of types and values."""
        types = ", ".join(kind for kind, _ in arguments)
        self.declared.add(f"declare {result} @{name}({types})")
        values = ", ".join(f"{kind} {value}" for kind, value in arguments)
        return self.line(f"call {result} @{name}({values})")

    def define(self, operand: Operand, value: str) -> None:
        """Note the value of an operand."""
        self.known[operand] = value

    def value(self, operand: Operand) -> str:
        """The name or the text of an operand's value."""
        if isinstance(operand, Number):
            return constant(operand)
        return self.known[operand]

    def type_of(self, operand: Operand) -> Type:
        """The type of an operand."""
        return TYPES[self.program.dtype_of(operand)]

    def rounded(self, value: str, kind: Type) -> str:
        """A float32 as the nearest number of a narrow type, still in float32."""
        if not kind.is_narrow:
            return value
        if kind.stored == "half":
            half = self.line(f"fptrunc float {value} to half")
            return self.line(f"fpext half {half} to float")
        if kind.is_float8:
            return float8.rounded(self, value)
        bits = self.line(f"bitcast float {value} to i32")
        cut = self.rounded_bits(bits, 16)
        # A NaN must not become an infinity.
        quiet = self.line(f"or i32 {bits}, 4194304")
        nan = self.line(f"fcmp uno float {value}, {value}")
        kept = self.line(f"and i32 {quiet}, -65536")
        chosen = self.line(f"select i1 {nan}, i32 {kept}, i32 {cut}")
        return self.line(f"bitcast i32 {chosen} to float")

    def size(self, value: str, kind: Type) -> str:
        """The absolute value of a float."""
        name, number = f"llvm.fabs.{kind.suffix}", kind.computed
        return self.call(name, number, (number, value))

    def rounded_bits(self, bits: str, dropped: int) -> str:
        """The bits of a float32 with zeros in place of the last ones.

        They are rounded to the nearest number, or to an even one between two.
        """
        upper = self.line(f"lshr i32 {bits}, {dropped}")
        odd = self.line(f"and i32 {upper}, 1")
        bias = self.line(f"add i32 {odd}, {2 ** (dropped - 1) - 1}")
        moved = self.line(f"add i32 {bits}, {bias}")
        return self.line(f"and i32 {moved}, {-(2**dropped)}")

    def widened(self, value: str, kind: Type) -> str:
        """Convert a value from its form in memory to its form in registers."""
        if kind.is_bool:
            return self.line(f"trunc i8 {value} to i1")
        if kind.stored == "half":
            return self.line(f"fpext half {value} to float")
        if kind.is_float8:
            return float8.widened(self, value)
        if kind.is_narrow:
            wide = self.line(f"zext i16 {value} to i32")
            shifted = self.line(f"shl i32 {wide}, 16")
            return self.line(f"bitcast i32 {shifted} to float")
        return value

    def narrowed(self, value: str, kind: Type) -> str:
        """Convert an already rounded value to its form in memory."""
        if kind.is_bool:
            return self.line(f"zext i1 {value} to i8")
        if kind.stored == "half":
            return self.line(f"fptrunc float {value} to half")
        if kind.is_float8:
            return float8.narrowed(self, value)
        if kind.is_narrow:
            bits = self.line(f"bitcast float {value} to i32")
            upper = self.line(f"lshr i32 {bits}, 16")
            return self.line(f"trunc i32 {upper} to i16")
        return value

    def find_arrays(self) -> None:
        """Load the address of each array."""
        for slot in range(self.program.slots):
            self.lines += [
                f"  %a{slot} = getelementptr ptr, ptr %slots, i64 {slot}",
                f"  %p{slot} = load ptr, ptr %a{slot}",
            ]

    def load(self, kind: str, place: str) -> str:
        """Read from memory at an address."""
        return self.line(f"load {kind}, ptr {place}{FREE}")

    def store(self, kind: str, value: str, place: str) -> None:
        """Write to memory at an address."""
        self.lines.append(f"  store {kind} {value}, ptr {place}{FREE}")

    def table(self, content: bytes, dtype: str) -> tuple[str, int]:
        """The name of a table of known numbers, and its length."""
        numbers = np.frombuffer(content, dtype)
        kind = TYPES[dtype].stored
        entries = ", ".join(f"{kind} {constant(number(x, dtype))}" for x in numbers)
        array = f"constant [{len(numbers)} x {kind}] [{entries}]"
        name = self.tables.setdefault(array, f"@table{len(self.tables)}")
        return name, len(numbers)

    def declarations(self) -> list[str]:
        """What the lines refer to."""
        tables = [f"{name} = private {array}" for array, name in self.tables.items()]
        return [*sorted(self.declared), *tables]

    def read(self, per: Per, index: str = "0") -> None:
        """Read the number at an index of each array that has one for each ``per``."""
        for slot, array in enumerate(self.program.reads):
            if array.per is per:
                kind = TYPES[array.dtype]
                place = self.place(slot, kind, index)
                self.define(
                    Read(slot), self.widened(self.load(kind.stored, place), kind)
                )

    def compute(self, n: int) -> None:
        """Compute the result of an operation."""
        self.define(Computed(n), emit(self, self.program.operations[n]))

    def write(self, result: int, index: str) -> None:
        """Write a result to an index of its array."""
        operand = self.program.writes[result]
        kind = self.type_of(operand)
        value = self.narrowed(self.value(operand), kind)
        place = self.place(len(self.program.reads) + result, kind, index)
        self.store(kind.stored, value, place)

    def place(self, slot: int, kind: Type, index: str) -> str:
        """The address of a number of an array."""
        return self.line(f"getelementptr {kind.stored}, ptr %p{slot}, i64 {index}")


def kernel(program: Program) -> str:
    """``kernel(slots, begin, end)`` for a program, as text."""
    code = Code(program)
    code.find_arrays()
    code.read(Per.CALL)
    code.lines += [
        "  %empty = icmp sge i64 %begin, %end",
        "  br i1 %empty, label %done, label %loop",
        "loop:",
        "  %i = phi i64 [ %begin, %entry ], [ %following, %loop ]",
    ]
    code.read(Per.ELEMENT, code.index)
    for i in range(len(program.operations)):
        code.compute(i)
    for i in range(len(program.writes)):
        code.write(i, code.index)
    code.lines += [
        "  %following = add nsw i64 %i, 1",
        "  %more = icmp slt i64 %following, %end",
        "  br i1 %more, label %loop, label %done, !llvm.loop !0",
        "done:",
        "  ret void",
    ]
    head = "define internal void @kernel(ptr %slots, i64 %begin, i64 %end) {\nentry:"
    return "\n".join([head, *code.lines, "}", *code.declarations(), LOOP])
