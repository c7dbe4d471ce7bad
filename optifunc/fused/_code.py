"""LLVM's form of a program: a loop over a block of elements.

One iteration reads an element of each array, computes, and writes. A result may be in
the memory of an array that is read, at the same position: each iteration reads
everything before it writes, and LLVM is told that no iteration depends on another.
"""

from __future__ import annotations

from ._operations import OPERATIONS
from ._program import Number, Operand, Program, Read
from ._types import TYPES, Type, constant

LOOP = """\
!0 = distinct !{!0, !1, !2}
!1 = !{!"llvm.loop.vectorize.enable", i1 true}
!2 = !{!"llvm.loop.parallel_accesses", !3}
!3 = distinct !{}
"""
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
        self._reads: dict[int, str] = {}
        self._results: list[str] = []

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

    def value(self, operand: Operand) -> str:
        """The name or the text of an operand's value."""
        if isinstance(operand, Number):
            return constant(operand)
        if isinstance(operand, Read):
            return self._reads[operand.number]
        return self._results[operand.number]

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
        bits = self.line(f"bitcast float {value} to i32")
        upper = self.line(f"lshr i32 {bits}, 16")
        odd = self.line(f"and i32 {upper}, 1")
        bias = self.line(f"add i32 {odd}, 32767")
        moved = self.line(f"add i32 {bits}, {bias}")
        cut = self.line(f"and i32 {moved}, -65536")
        # A NaN must not become an infinity.
        quiet = self.line(f"or i32 {bits}, 4194304")
        nan = self.line(f"fcmp uno float {value}, {value}")
        kept = self.line(f"and i32 {quiet}, -65536")
        chosen = self.line(f"select i1 {nan}, i32 {kept}, i32 {cut}")
        return self.line(f"bitcast i32 {chosen} to float")

    def widened(self, value: str, kind: Type) -> str:
        """Convert a value from its form in memory to its form in registers."""
        if kind.is_bool:
            return self.line(f"trunc i8 {value} to i1")
        if kind.stored == "half":
            return self.line(f"fpext half {value} to float")
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
        if kind.is_narrow:
            bits = self.line(f"bitcast float {value} to i32")
            upper = self.line(f"lshr i32 {bits}, 16")
            return self.line(f"trunc i32 {upper} to i16")
        return value

    def read_scalars(self) -> None:
        """Read values that are the same for all elements, before the loop."""
        for number, array in enumerate(self.program.reads):
            if array.is_scalar:
                kind = TYPES[array.dtype]
                value = self.line(f"load {kind.stored}, ptr %p{number}")
                self._reads[number] = self.widened(value, kind)

    def compute_element(self) -> None:
        """Read one element of each array, compute, and write."""
        program = self.program
        for number, array in enumerate(program.reads):
            if not array.is_scalar:
                kind = TYPES[array.dtype]
                place = self._place(number, kind)
                value = self.line(f"load {kind.stored}, ptr {place}{FREE}")
                self._reads[number] = self.widened(value, kind)
        for operation in program.operations:
            self._results.append(OPERATIONS[operation.name].emit(self, operation))
        for number, operand in enumerate(program.writes, len(program.reads)):
            kind = self.type_of(operand)
            value, place = self.value(operand), self._place(number, kind)
            value = self.narrowed(value, kind)
            self.lines.append(f"  store {kind.stored} {value}, ptr {place}{FREE}")

    def _place(self, number: int, kind: Type) -> str:
        return self.line(f"getelementptr {kind.stored}, ptr %p{number}, i64 %i")


def kernel(program: Program) -> str:
    """``kernel(slots, begin, end)`` for a program, as text."""
    code = Code(program)
    for number in range(program.slots):
        code.lines += [
            f"  %a{number} = getelementptr ptr, ptr %slots, i64 {number}",
            f"  %p{number} = load ptr, ptr %a{number}",
        ]
    code.read_scalars()
    code.lines += [
        "  %empty = icmp sge i64 %begin, %end",
        "  br i1 %empty, label %done, label %loop",
        "loop:",
        "  %i = phi i64 [ %begin, %entry ], [ %following, %loop ]",
    ]
    code.compute_element()
    code.lines += [
        "  %following = add nsw i64 %i, 1",
        "  %more = icmp slt i64 %following, %end",
        "  br i1 %more, label %loop, label %done, !llvm.loop !0",
        "done:",
        "  ret void",
    ]
    head = "define internal void @kernel(ptr %slots, i64 %begin, i64 %end) {\nentry:"
    return "\n".join([head, *code.lines, "}", *sorted(code.declared), LOOP])
