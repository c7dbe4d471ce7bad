"""How numbers of each dtype are stored and computed, in LLVM's terms.

Narrow floats are computed in float32 and rounded after each operation, to nearest even,
as XLA does.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from ._program import Number


@dataclass(frozen=True)
class Type:
    """A dtype in LLVM's terms."""

    stored: str  # in memory
    computed: str  # in a register
    is_float: bool = False
    is_signed: bool = True  # of an integer
    mantissa: int = 0  # of a narrow float

    @property
    def is_narrow(self) -> bool:
        """Whether results have to be rounded from float32."""
        return self.mantissa > 0

    @property
    def is_bool(self) -> bool:
        """Whether it is a truth value."""
        return self.computed == "i1"

    @property
    def is_float8(self) -> bool:
        """Whether it is a float with 8 bits."""
        return self.is_float and self.stored == "i8"

    @property
    def bits(self) -> int:
        """The width in memory."""
        widths = {"half": 16, "float": 32, "double": 64}
        return widths.get(self.stored) or int(self.stored[1:])

    @property
    def bytes(self) -> int:
        """The size of a value that a kernel keeps."""
        return {"float": 4, "double": 8}.get(self.computed, self.bits // 8)

    @property
    def suffix(self) -> str:
        """The suffix of the names of LLVM's intrinsics."""
        return {"float": "f32", "double": "f64"}.get(self.computed, self.computed)


TYPES = {
    "float32": Type("float", "float", is_float=True),
    "float64": Type("double", "double", is_float=True),
    "bfloat16": Type("i16", "float", is_float=True, mantissa=7),
    "float16": Type("half", "float", is_float=True, mantissa=10),
    "float8_e4m3fn": Type("i8", "float", is_float=True, mantissa=3),
    "bool": Type("i8", "i1", is_signed=False),
    **{f"int{n}": Type(f"i{n}", f"i{n}") for n in (8, 16, 32, 64)},
    **{f"uint{n}": Type(f"i{n}", f"i{n}", is_signed=False) for n in (8, 16, 32, 64)},
}


def constant(value: Number) -> str:
    """A known number as LLVM writes it."""
    kind = TYPES[value.dtype]
    if kind.is_bool:
        return "true" if int(value.text) else "false"
    if not kind.is_float:
        return value.text
    exact = float(value.text)
    if kind.computed == "float":
        with np.errstate(over="ignore"):
            exact = float(np.float32(exact))
    # The bits of a double, even if the number is a float.
    return f"0x{struct.unpack('<Q', struct.pack('<d', exact))[0]:016X}"
