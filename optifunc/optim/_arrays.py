"""Values of a checkpoint as arrays, from any library."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from itertools import count
from typing import Any

import jax
import numpy as np

from .._checks import is_tensor as is_tensor
from .._quantization import Bits, Codec, QuantizedArray, from_blocks


def is_array(value: Any) -> bool:
    """Whether ``value`` is a NumPy, JAX or torch array."""
    return isinstance(value, np.ndarray | np.generic | jax.Array) or is_tensor(value)


def is_readable(value: Any) -> bool:
    """Whether this process can read the whole array, not only a part of it."""
    return (
        not isinstance(value, jax.Array)
        or value.is_fully_addressable
        or value.is_fully_replicated
    )


def as_numpy(value: Any, *, gather: bool = False) -> np.ndarray[Any, Any]:
    """A NumPy, JAX or torch array as a NumPy array with its own memory.

    A torch tensor may be on another device, require a gradient, and have a dtype that
    NumPy lacks, such as bfloat16.

    **Arguments:**

    - ``value``: the array.
    - ``gather``: whether to fetch the parts that other processes hold. All processes
      must then call this, and all get the whole array.

    **Raises:** `RuntimeError` for an array that is partly held by other processes,
    unless ``gather``.
    """
    if is_tensor(value):
        return _tensor_as_numpy(value)
    if not is_readable(value):
        if not gather:
            raise RuntimeError(
                f"an array of shape {value.shape} is partly on devices of other "
                f"processes ({value.sharding}), so this process cannot read it; "
                "call state_dict(gather=True) in all processes, or jax.experimental."
                "multihost_utils.process_allgather(array, tiled=True)"
            )
        from jax.experimental import multihost_utils

        value = multihost_utils.process_allgather(value, tiled=True)
    return np.array(value)


# By the bits, because torch does not know NumPy's extended dtypes, nor vice versa.
BITS = {1: "uint8", 2: "int16"}


def is_extended(dtype: str) -> bool:
    """Whether the name is that of a JAX and torch dtype that NumPy lacks."""
    return dtype.startswith(("bfloat", "float8"))


def _tensor_as_numpy(tensor: Any) -> np.ndarray[Any, Any]:
    import torch

    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    dtype = str(tensor.dtype).removeprefix("torch.")
    if not is_extended(dtype):
        return np.array(tensor.numpy())
    bits = tensor.view(getattr(torch, BITS[tensor.element_size()])).numpy()
    return np.array(bits).view(dtype)


def unused_name(name: str, taken: Container[str]) -> str:
    """``name``, with a number at its end if it is ``taken``.

    The paths ``("a.b",)`` and ``("a", "b")`` are written in the same way.
    """
    if name not in taken:
        return name
    numbered = (f"{name}~{number}" for number in count(2))
    return next(new for new in numbered if new not in taken)


def without_tensors(value: Any) -> Any:
    """A copy of nested dicts, lists and tuples in which every array is NumPy's.

    torchao's quantized tensors become a `QuantizedArray`.
    """
    if is_tensor(value) and hasattr(value, "codes") and hasattr(value, "scale"):
        return _from_torchao(value)
    if is_array(value):
        return as_numpy(value)
    if isinstance(value, Mapping):
        return {key: without_tensors(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(without_tensors, value))
    return value


def _from_torchao(tensor: Any) -> QuantizedArray:
    """An ``OptimState8bit``, ``OptimState4bit`` or ``OptimStateFp8``, code by code."""
    codes, scales = as_numpy(tensor.codes), as_numpy(tensor.scale)
    # Without a table, the codes themselves are numbers.
    table = getattr(tensor, "qmap", None)
    bits: Bits = "fp8" if table is None else 8 if table.numel() == 256 else 4
    codec = Codec(
        bits,
        "dynamic",
        is_signed=getattr(tensor, "signed", True),
        keep_positive=False,
        block_size=math.prod(tensor.shape) // scales.size,
        by_row=False,
    )
    return from_blocks(codes, scales, tuple(tensor.shape), codec)
