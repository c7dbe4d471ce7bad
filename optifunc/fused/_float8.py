"""Floats of 8 bits (e4m3fn: up to 448, without infinities), computed in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np

from ._types import TYPES

if TYPE_CHECKING:
    from ._code import Code

# The 23 - 3 lower bits of a float32 are dropped, and the exponent begins at -6.
DROPPED, SMALLEST, LARGEST = 20, 2.0**-6, 448.0
# Numbers near it are multiples of 2^-9, the smallest number of all.
MULTIPLES = 2.0**14


def rounded(code: Code, value: str) -> str:
    """The nearest number, to even; NaN beyond the largest."""
    bits = code.line(f"bitcast float {value} to i32")
    normal = code.line(f"bitcast i32 {code.rounded_bits(bits, DROPPED)} to float")
    size = code.size(value, TYPES["float32"])
    raised = code.line(f"fadd float {size}, {MULTIPLES:e}")
    lowered = code.line(f"fsub float {raised}, {MULTIPLES:e}")
    pair = [("float", lowered), ("float", value)]
    small = code.call("llvm.copysign.f32", "float", *pair)
    is_small = code.line(f"fcmp olt float {size}, {SMALLEST:e}")
    result = code.line(f"select i1 {is_small}, float {small}, float {normal}")
    result_size = code.size(result, TYPES["float32"])
    is_beyond = code.line(f"fcmp ugt float {result_size}, {LARGEST:e}")
    # The bits of a NaN may overflow above.
    is_nan = code.line(f"fcmp uno float {value}, {value}")
    is_none = code.line(f"or i1 {is_beyond}, {is_nan}")
    pair = [("float", "0x7FF8000000000000"), ("float", value)]
    nan = code.call("llvm.copysign.f32", "float", *pair)
    return code.line(f"select i1 {is_none}, float {nan}, float {result}")


def narrowed(code: Code, value: str) -> str:
    """The byte of a rounded number."""
    bits = code.line(f"bitcast float {value} to i32")
    sign = code.line(f"lshr i32 {bits}, 24")
    sign = code.line(f"and i32 {sign}, 128")
    size = code.size(value, TYPES["float32"])
    pattern = code.line(f"bitcast float {size} to i32")
    shifted = code.line(f"lshr i32 {pattern}, {DROPPED}")
    normal = code.line(f"sub i32 {shifted}, {(127 - 7) << 3}")
    multiple = code.line(f"fmul float {size}, {2.0**9:e}")
    small = code.call("llvm.fptosi.sat.i32.f32", "i32", ("float", multiple))
    is_small = code.line(f"fcmp olt float {size}, {SMALLEST:e}")
    result = code.line(f"select i1 {is_small}, i32 {small}, i32 {normal}")
    nan = code.line(f"fcmp uno float {value}, {value}")
    result = code.line(f"select i1 {nan}, i32 127, i32 {result}")
    result = code.line(f"or i32 {result}, {sign}")
    return code.line(f"trunc i32 {result} to i8")


def widened(code: Code, byte: str) -> str:
    """The number of a byte, from a table."""
    numbers = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn)
    # As bits, because the two NaN differ in their sign.
    name, _ = code.table(numbers.astype(np.float32).tobytes(), "int32")
    index = code.line(f"zext i8 {byte} to i64")
    place = code.line(f"getelementptr i32, ptr {name}, i64 {index}")
    return code.line(f"bitcast i32 {code.load('i32', place)} to float")
