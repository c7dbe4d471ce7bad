"""The safetensors format: named arrays and text in a file that holds no code.

A file consists of the length of a header (8 bytes, little-endian), the header (JSON)
and the arrays' bytes, one after the other. Any problem with a file is a `ValueError`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

# The format's names of NumPy and JAX dtypes. It has others with 4 and 6 bits.
DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype(np.uint16),
    "I16": np.dtype(np.int16),
    "U32": np.dtype(np.uint32),
    "I32": np.dtype(np.int32),
    "U64": np.dtype(np.uint64),
    "I64": np.dtype(np.int64),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E4M3FNUZ": np.dtype(ml_dtypes.float8_e4m3fnuz),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F8_E5M2FNUZ": np.dtype(ml_dtypes.float8_e5m2fnuz),
    "F8_E8M0": np.dtype(ml_dtypes.float8_e8m0fnu),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "C64": np.dtype(np.complex64),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}

# The header's entry that is not an array's.
METADATA = "__metadata__"

Array = np.ndarray[Any, Any]


def write_arrays(
    file: BinaryIO, arrays: Mapping[str, Array], metadata: Mapping[str, str]
) -> None:
    """Write ``arrays``, of the dtypes of `DTYPES`, and ``metadata`` to ``file``."""
    # Widest first, so that each begins at a multiple of its element size.
    ordered = sorted(arrays.items(), key=lambda pair: -pair[1].itemsize)
    header: dict[str, Any] = {METADATA: dict(metadata)}
    end = 0
    for name, array in ordered:
        begin, end = end, end + array.nbytes
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    file.write(len(encoded).to_bytes(8, "little"))
    file.write(encoded)
    for _, array in ordered:
        file.write(raw_bytes(array))


def raw_bytes(array: Array) -> memoryview:
    """The bytes of a contiguous array as they are in a file."""
    little: Array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return little.reshape(-1).view(np.uint8).data


def read_arrays(file: BufferedReader) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays in ``file``, and its metadata.

    **Raises:** `ValueError` for a file that breaks a rule of the format.
    """
    header, size = _read_header(file)
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(
        isinstance(text, str) for text in metadata.values()
    ):
        raise ValueError("its metadata is not a dict of strings")
    places = {name: _place(name, entry) for name, entry in header.items()}
    end = 0
    for name, place in sorted(places.items(), key=lambda pair: pair[1].span):
        if place.begin != end:
            raise ValueError(
                f"the array {name!r} begins at byte {place.begin}, expected {end}: "
                "arrays must lie one after the other"
            )
        end = place.end
    if end != size:
        raise ValueError(f"its arrays have {end} bytes together, the file has {size}")
    # Read in the order of the file, returned in that of the header.
    start = file.tell()
    arrays = {name: _read_array(file, start, name, p) for name, p in places.items()}
    return arrays, metadata


@dataclass(frozen=True)
class _Place:
    """The position of an array after the header, and how to read it."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def span(self) -> tuple[int, int]:
        return self.begin, self.end


def _read_header(file: BufferedReader) -> tuple[dict[str, Any], int]:
    """The header, and how many bytes follow it."""
    size = os.fstat(file.fileno()).st_size
    if size < 8:
        raise ValueError(f"it has {size} bytes, but a safetensors file has at least 8")
    length, rest = int.from_bytes(file.read(8), "little"), size - 8
    if length > rest:
        raise ValueError(
            f"it is cut short or not a safetensors file: it announces a header of "
            f"{length} bytes and has {rest}"
        )
    header = parse_json(file.read(length), "its header")
    if not isinstance(header, dict):
        raise ValueError("its header is not a dict")
    return header, rest - length


def parse_json(text: bytes, name: str) -> Any:
    """The content of ``text``; ``name`` is its name in errors.

    **Raises:** `ValueError` if it is not JSON in UTF-8, nests too deeply to be read, or
    has a name twice in a dict.
    """
    try:
        return json.loads(text.decode(), object_pairs_hook=_without_repetition)
    except RecursionError as error:
        raise ValueError(f"{name} is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"{name} is not JSON: {error}") from error


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise ValueError(f"the name {name!r} is there twice")
        result[name] = value
    return result


def _place(name: str, entry: Any) -> _Place:
    """An array's entry in the header, checked."""
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= set(
        entry
    ):
        raise ValueError(
            f"the array {name!r} needs a dtype, a shape and data_offsets, found {entry}"
        )
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(
            f"the array {name!r} has the unknown dtype {dtype!r}; known: {list(DTYPES)}"
        )
    if not _are_sizes(shape):
        raise ValueError(f"the array {name!r} has no possible shape: {shape!r}")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ValueError(
            f"the array {name!r} needs data_offsets [begin, end], found {offsets!r}"
        )
    place = _Place(DTYPES[dtype], tuple(shape), *offsets)
    expected = math.prod(shape) * place.dtype.itemsize
    if place.end - place.begin != expected:
        raise ValueError(
            f"the array {name!r} of shape {place.shape} and dtype {dtype} needs "
            f"{expected} bytes, and has {place.end - place.begin}"
        )
    return place


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(
        type(value) is int and value >= 0 for value in values
    )


def _read_array(file: BufferedReader, start: int, name: str, place: _Place) -> Array:
    buffer = bytearray(place.end - place.begin)
    file.seek(start + place.begin)
    if file.readinto(buffer) != len(buffer):
        raise ValueError(f"the array {name!r} is cut short")
    if place.dtype == np.bool_ and max(buffer, default=0) > 1:
        raise ValueError(f"the array {name!r} of bools holds other bytes than 0 and 1")
    stored: Array = np.frombuffer(buffer, place.dtype.newbyteorder("<"))
    try:
        return stored.astype(place.dtype, copy=False).reshape(place.shape)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"the array {name!r} has an impossible shape {place.shape}: {error}"
        ) from error
