"""The operations that kernels support, each with the instructions that compute it.

An operation is included if it takes a few vector instructions and equals XLA's, up to
the contraction of a product and a sum. Others, such as exponentials, stay with XLA.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ._program import Operation
from ._types import TYPES, Type

if TYPE_CHECKING:
    from ._code import Code

Emitter: TypeAlias = Callable[["Code", Operation], str]

# A product and a sum may be contracted into one instruction; nothing else is relaxed.
FAST = "contract"


def _operands(code: Code, operation: Operation) -> tuple[Type, list[str]]:
    """The type of the last operand and the values of all."""
    kind = code.type_of(operation.operands[-1])
    return kind, [code.value(x) for x in operation.operands]


def _arithmetic(real: str, integer: str | None) -> Emitter:
    """An instruction with two operands of one type."""

    def emit(code: Code, operation: Operation) -> str:
        kind, (x, y) = _operands(code, operation)
        name = f"{real} {FAST}" if kind.is_float else integer
        return code.rounded(code.line(f"{name} {kind.computed} {x}, {y}"), kind)

    return emit


def _intrinsic(name: str) -> Emitter:
    """A function of one float for which LLVM has a name."""

    def emit(code: Code, operation: Operation) -> str:
        kind, (x,) = _operands(code, operation)
        full = f"llvm.{name}.{kind.suffix}"
        return code.rounded(code.call(full, kind.computed, (kind.computed, x)), kind)

    return emit


def _extremum(real: str, integer: str) -> Emitter:
    """The larger or the smaller of two; NaN if one is."""

    def emit(code: Code, operation: Operation) -> str:
        kind, (x, y) = _operands(code, operation)
        return extremum(code, kind, real if kind.is_float else integer, x, y)

    return emit


def extremum(code: Code, kind: Type, name: str, x: str, y: str) -> str:
    """LLVM's ``maximum``, ``minimum``, or ``max`` and ``min`` of integers."""
    if not kind.is_float:
        name = ("s" if kind.is_signed else "u") + name
    pair = [(kind.computed, x), (kind.computed, y)]
    return code.call(f"llvm.{name}.{kind.suffix}", kind.computed, *pair)


def _comparison(real: str, integer: str) -> Emitter:
    """A truth value of two numbers."""

    def emit(code: Code, operation: Operation) -> str:
        kind, (x, y) = _operands(code, operation)
        if kind.is_float:
            return code.line(f"fcmp {real} {kind.computed} {x}, {y}")
        sign = "" if integer in ("eq", "ne") else "s" if kind.is_signed else "u"
        return code.line(f"icmp {sign}{integer} {kind.computed} {x}, {y}")

    return emit


def _bitwise(name: str) -> Emitter:
    def emit(code: Code, operation: Operation) -> str:
        kind, (x, y) = _operands(code, operation)
        return code.line(f"{name} {kind.computed} {x}, {y}")

    return emit


def _not(code: Code, operation: Operation) -> str:
    kind, (x,) = _operands(code, operation)
    return code.line(f"xor {kind.computed} {x}, {'true' if kind.is_bool else -1}")


def _shift(name: str) -> Emitter:
    """A shift; by the width or more, all bits are those shifted in."""

    def emit(code: Code, operation: Operation) -> str:
        kind, (x, by) = _operands(code, operation)
        inside = code.line(f"icmp ult {kind.computed} {by}, {kind.bits}")
        most = code.line(
            f"select i1 {inside}, {kind.computed} {by}, {kind.computed} {kind.bits - 1}"
        )
        shifted = code.line(f"{name} {kind.computed} {x}, {most}")
        if name == "ashr":
            return shifted
        return code.line(
            f"select i1 {inside}, {kind.computed} {shifted}, {kind.computed} 0"
        )

    return emit


def _neg(code: Code, operation: Operation) -> str:
    kind, (x,) = _operands(code, operation)
    if kind.is_float:
        return code.line(f"fneg {kind.computed} {x}")
    return code.line(f"sub {kind.computed} 0, {x}")


def _abs(code: Code, operation: Operation) -> str:
    kind, (x,) = _operands(code, operation)
    if kind.is_float:
        return code.size(x, kind)
    if not kind.is_signed:
        return x
    pair = [(kind.computed, x), ("i1", "false")]
    return code.call(f"llvm.abs.{kind.suffix}", kind.computed, *pair)


def _sign_of(code: Code, operation: Operation) -> str:
    """-1, 1, or the number itself: a zero with its sign, or NaN."""
    kind, (x,) = _operands(code, operation)
    number = kind.computed
    if kind.is_float:
        pair = [(number, "1.0"), (number, x)]
        one = code.call(f"llvm.copysign.{kind.suffix}", number, *pair)
        apart = code.line(f"fcmp one {number} {x}, 0.0")
        return code.line(f"select i1 {apart}, {number} {one}, {number} {x}")
    order = "sgt" if kind.is_signed else "ugt"
    above = code.line(f"icmp {order} {number} {x}, 0")
    sign = code.line(f"zext i1 {above} to {number}")
    if not kind.is_signed:
        return sign
    below = code.line(f"icmp slt {number} {x}, 0")
    return code.line(f"select i1 {below}, {number} -1, {number} {sign}")


def _rsqrt(code: Code, operation: Operation) -> str:
    kind, (x,) = _operands(code, operation)
    root = code.call(f"llvm.sqrt.{kind.suffix}", kind.computed, (kind.computed, x))
    return code.rounded(code.line(f"fdiv {FAST} {kind.computed} 1.0, {root}"), kind)


def _square(code: Code, operation: Operation) -> str:
    kind, (x,) = _operands(code, operation)
    return _product(code, kind, x, x)


def _product(code: Code, kind: Type, x: str, y: str) -> str:
    name = f"fmul {FAST}" if kind.is_float else "mul"
    return code.rounded(code.line(f"{name} {kind.computed} {x}, {y}"), kind)


def _integer_pow(code: Code, operation: Operation) -> str:
    """A power by repeated squaring; the reciprocal of one if it is negative."""
    kind, (x,) = _operands(code, operation)
    (exponent,) = operation.options
    result, remaining = None, abs(exponent)
    while remaining:
        if remaining % 2:
            result = x if result is None else _product(code, kind, result, x)
        remaining //= 2
        if remaining:
            x = _product(code, kind, x, x)
    if result is None:
        return "1.0"
    if exponent > 0:
        return result
    inverse = code.line(f"fdiv {FAST} {kind.computed} 1.0, {result}")
    return code.rounded(inverse, kind)


def _round(code: Code, operation: Operation) -> str:
    """To an integer; halves away from zero or to even."""
    kind, (x,) = _operands(code, operation)
    name = ("round", "roundeven")[operation.options[0]]
    return code.call(f"llvm.{name}.{kind.suffix}", kind.computed, (kind.computed, x))


def _reduce_precision(code: Code, operation: Operation) -> str:
    """To the nearest number with so many bits; too small ones become zero."""
    _, (x,) = _operands(code, operation)
    exponent, mantissa = operation.options
    bits = code.line(f"bitcast float {x} to i32")
    result, dropped = bits, max(0, 23 - mantissa)
    if dropped:
        result = code.rounded_bits(bits, dropped)
    if exponent < 8:
        sign = code.line(f"and i32 {result}, {-(2**31)}")
        power = code.line(f"and i32 {result}, {255 << 23}")
        largest = 2 ** (exponent - 1) - 1
        infinite = code.line(f"or i32 {sign}, {255 << 23}")
        above = code.line(f"icmp ugt i32 {power}, {127 + largest << 23}")
        result = code.line(f"select i1 {above}, i32 {infinite}, i32 {result}")
        below = code.line(f"icmp ule i32 {power}, {127 - largest << 23}")
        result = code.line(f"select i1 {below}, i32 {sign}, i32 {result}")
    nan = code.line(f"fcmp uno float {x}, {x}")
    found = code.line(f"bitcast i32 {result} to float")
    return code.line(f"select i1 {nan}, float {x}, float {found}")


def _is_finite(code: Code, operation: Operation) -> str:
    kind, (x,) = _operands(code, operation)
    size = code.size(x, kind)
    return code.line(f"fcmp one {kind.computed} {size}, 0x7FF0000000000000")


def _select(code: Code, operation: Operation) -> str:
    kind, (which, no, yes) = _operands(code, operation)
    return code.line(f"select i1 {which}, {kind.computed} {yes}, {kind.computed} {no}")


def _clamp(code: Code, operation: Operation) -> str:
    kind, (low, x, high) = _operands(code, operation)
    names = ("maximum", "minimum") if kind.is_float else ("max", "min")
    above = extremum(code, kind, names[0], low, x)
    return extremum(code, kind, names[1], above, high)


def _convert(code: Code, operation: Operation) -> str:
    old, (x,) = _operands(code, operation)
    new = TYPES[operation.dtype]
    if new.is_bool:
        compare = "fcmp une" if old.is_float else "icmp ne"
        zero = "0.0" if old.is_float else "false" if old.is_bool else "0"
        return code.line(f"{compare} {old.computed} {x}, {zero}")
    if old.is_float and new.is_float:
        if old.computed != new.computed:
            name = "fpext" if new.computed == "double" else "fptrunc"
            x = code.line(f"{name} {old.computed} {x} to {new.computed}")
        return x if old.stored == new.stored else code.rounded(x, new)
    if new.is_float:
        name = "sitofp" if old.is_signed else "uitofp"
        x = code.line(f"{name} {old.computed} {x} to {new.computed}")
        return code.rounded(x, new)
    if old.is_float:
        # A number that does not fit becomes the nearest integer, and NaN becomes 0.
        name = f"llvm.fpto{'s' if new.is_signed else 'u'}i.sat"
        full = f"{name}.{new.suffix}.{old.suffix}"
        return code.call(full, new.computed, (old.computed, x))
    if new.bits == old.bits and not old.is_bool:
        return x
    wider = "sext" if old.is_signed else "zext"
    name = wider if old.is_bool or new.bits > old.bits else "trunc"
    return code.line(f"{name} {old.computed} {x} to {new.computed}")


def _bitcast(code: Code, operation: Operation) -> str:
    old, (x,) = _operands(code, operation)
    new = TYPES[operation.dtype]
    x = code.narrowed(x, old)
    if old.stored != new.stored:
        x = code.line(f"bitcast {old.stored} {x} to {new.stored}")
    return code.widened(x, new)


def _lookup(code: Code, operation: Operation) -> str:
    """The entry of a known table; the first or last for a place outside it."""
    kind, (place,) = _operands(code, operation)
    result = TYPES[operation.dtype]
    name, length = code.table(operation.options[0], operation.dtype)
    if kind.bits < 32:  # wide enough for every length
        wider = "sext" if kind.is_signed else "zext"
        place = code.line(f"{wider} {kind.computed} {place} to i32")
        kind = TYPES["int32"]
    if kind.is_signed:
        place = extremum(code, kind, "max", place, "0")
    place = extremum(code, kind, "min", place, str(length - 1))
    if kind.bits < 64:
        # As a signed number, which is the same: processors look up by these.
        place = code.line(f"sext {kind.computed} {place} to i64")
    found = code.line(f"getelementptr {result.stored}, ptr {name}, i64 {place}")
    return code.widened(code.load(result.stored, found), result)


def _count(code: Code, operation: Operation) -> str:
    """The number of the current element."""
    kind = TYPES[operation.dtype]
    if kind.is_float:
        value = code.line(f"sitofp i64 {code.index} to {kind.computed}")
        return code.rounded(value, kind)
    if kind.bits == 64:
        return code.index
    return code.line(f"trunc i64 {code.index} to {kind.computed}")


# Which dtypes an operation takes.
ALL, NUMBERS, FLOATS, BITS = range(4)


class Rule(NamedTuple):
    """How an operation is computed, and on which dtypes."""

    emit: Emitter
    domain: int

    def takes(self, kind: Type) -> bool:
        """Whether it supports numbers of this type."""
        if self.domain == FLOATS:
            return kind.is_float
        if self.domain == BITS:
            return not kind.is_float
        return self.domain == ALL or not kind.is_bool


OPERATIONS: dict[str, Rule] = {
    "add": Rule(_arithmetic("fadd", "add"), NUMBERS),
    "add_any": Rule(_arithmetic("fadd", "add"), NUMBERS),
    "sub": Rule(_arithmetic("fsub", "sub"), NUMBERS),
    "mul": Rule(_arithmetic("fmul", "mul"), NUMBERS),
    "div": Rule(_arithmetic("fdiv", None), FLOATS),
    "max": Rule(_extremum("maximum", "max"), NUMBERS),
    "min": Rule(_extremum("minimum", "min"), NUMBERS),
    "neg": Rule(_neg, NUMBERS),
    "abs": Rule(_abs, NUMBERS),
    "sign": Rule(_sign_of, NUMBERS),
    "square": Rule(_square, NUMBERS),
    "integer_pow": Rule(_integer_pow, FLOATS),
    "sqrt": Rule(_intrinsic("sqrt"), FLOATS),
    "rsqrt": Rule(_rsqrt, FLOATS),
    "floor": Rule(_intrinsic("floor"), FLOATS),
    "ceil": Rule(_intrinsic("ceil"), FLOATS),
    "round": Rule(_round, FLOATS),
    "reduce_precision": Rule(_reduce_precision, FLOATS),
    "is_finite": Rule(_is_finite, FLOATS),
    "eq": Rule(_comparison("oeq", "eq"), ALL),
    "ne": Rule(_comparison("une", "ne"), ALL),
    "lt": Rule(_comparison("olt", "lt"), ALL),
    "le": Rule(_comparison("ole", "le"), ALL),
    "gt": Rule(_comparison("ogt", "gt"), ALL),
    "ge": Rule(_comparison("oge", "ge"), ALL),
    "and": Rule(_bitwise("and"), BITS),
    "or": Rule(_bitwise("or"), BITS),
    "xor": Rule(_bitwise("xor"), BITS),
    "not": Rule(_not, BITS),
    "shift_left": Rule(_shift("shl"), BITS),
    "shift_right_logical": Rule(_shift("lshr"), BITS),
    "shift_right_arithmetic": Rule(_shift("ashr"), BITS),
    "select_n": Rule(_select, ALL),
    "clamp": Rule(_clamp, NUMBERS),
    "convert_element_type": Rule(_convert, ALL),
    "bitcast_convert_type": Rule(_bitcast, ALL),
}


# With those that are recognized by more than their name.
EMITTERS: dict[str, Emitter] = {
    **{name: rule.emit for name, rule in OPERATIONS.items()},
    "gather": _lookup,
    "count": _count,
}


def emit(code: Code, operation: Operation) -> str:
    """The name of the result of an operation, computed from its operands' values."""
    return EMITTERS[operation.name](code, operation)


# The operations that kernels support on float8.
MOVES_AND_COMPARISONS = {
    *("convert_element_type", "bitcast_convert_type", "select_n"),
    *("eq", "ne", "lt", "le", "gt", "ge"),
}


def options_of(name: str, params: dict[str, Any]) -> tuple[Any, ...]:
    """The parameters of a primitive that a program keeps."""
    if name == "integer_pow":
        return (int(params["y"]),)
    if name == "reduce_precision":
        return int(params["exponent_bits"]), int(params["mantissa_bits"])
    if name == "round":
        return (int(params["rounding_method"]),)
    return ()


def is_known(name: str, operands: tuple[str, ...], result: str) -> bool:
    """Whether kernels support an operation on operands of these dtypes.

    **Arguments:**

    - ``name``: that of JAX's primitive.
    - ``operands``: their dtypes.
    - ``result``: its dtype.
    """
    if name not in OPERATIONS or not TYPES.keys() >= {*operands, result}:
        return False
    has_float8 = any(TYPES[dtype].is_float8 for dtype in (*operands, result))
    if has_float8 and name not in MOVES_AND_COMPARISONS:
        return False
    if has_float8 and "float64" in (*operands, result):
        return False  # which would be rounded twice
    if name == "select_n":
        return len(operands) == 3 and operands[0] == "bool"
    if name == "reduce_precision":
        return result in ("float32", "bfloat16")  # whose smallest exponents agree
    if name == "bitcast_convert_type":
        same_width = TYPES[operands[0]].bits == TYPES[result].bits
        return same_width and "bool" not in (operands[0], result)
    return OPERATIONS[name].takes(TYPES[operands[-1]])
