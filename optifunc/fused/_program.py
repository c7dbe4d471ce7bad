"""What a kernel computes for each element, pair or row: a program without branches."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeAlias

import numpy as np


class Per(Enum):
    """For what there is one number."""

    CALL = "call"
    ROW = "row"
    PAIR = "pair"  # of neighbors
    ELEMENT = "element"


@dataclass(frozen=True)
class Read:
    """What the kernel reads from an array, or the one number of a scalar."""

    number: int


@dataclass(frozen=True)
class Computed:
    """The result of an earlier operation of the program."""

    number: int


@dataclass(frozen=True)
class Number:
    """A number that is known when the program is compiled."""

    text: str  # of which `repr` is exact, so that NaN equals NaN and -0.0 is not 0.0
    dtype: str


Operand: TypeAlias = Read | Computed | Number


@dataclass(frozen=True)
class Operation:
    """One operation on single elements, or on the numbers of a row.

    **Arguments:**

    - ``name``: that of JAX's primitive.
    - ``operands``: its operands.
    - ``dtype``: of its result.
    - ``options``: other parameters of the primitive, such as an exponent.
    - ``per``: for what it has a result.
    """

    name: str
    operands: tuple[Operand, ...]
    dtype: str
    options: tuple[Any, ...] = ()
    per: Per = Per.ELEMENT


@dataclass(frozen=True)
class Array:
    """What a kernel reads or writes."""

    dtype: str
    per: Per = Per.ELEMENT


@dataclass(frozen=True)
class Program:
    """Operations in order, what they read and which results are written.

    **Arguments:**

    - ``reads``, ``operations``, ``writes``: the program.
    - ``row``: the number of elements in a row, or 0.
    - ``is_ragged``: whether the last row may have fewer elements.
    """

    reads: tuple[Array, ...]
    operations: tuple[Operation, ...]
    writes: tuple[Computed, ...]
    row: int = 0
    is_ragged: bool = False

    @property
    def has_pairs(self) -> bool:
        """Whether anything has one number for two elements."""
        return any(x.name in ("interleave", "half") for x in self.operations)

    @property
    def slots(self) -> int:
        """How many arrays the kernel is given."""
        return len(self.reads) + len(self.writes)

    def dtype_of(self, operand: Operand) -> str:
        """The dtype of an operand."""
        if isinstance(operand, Number):
            return operand.dtype
        if isinstance(operand, Read):
            return self.reads[operand.number].dtype
        return self.operations[operand.number].dtype

    def per(self, operand: Operand) -> Per:
        """For what an operand has one number."""
        if isinstance(operand, Number):
            return Per.CALL
        if isinstance(operand, Read):
            return self.reads[operand.number].per
        return self.operations[operand.number].per


def number(value: Any, dtype: Any) -> Number:
    """A known number as an operand."""
    kind, name = _kind_and_name(dtype)
    text = repr(int(value)) if kind in "biu" else repr(float(value))
    return Number(text, name)


@cache
def _kind_and_name(dtype: Any) -> tuple[str, str]:
    known = np.dtype(dtype)
    return known.kind, known.name
