"""State dicts in safetensors files, which hold no code."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..optim._arrays import as_numpy, is_array, unused_name
from ._replacement import replacement
from ._safetensors_format import (
    DTYPES,
    METADATA,
    parse_json,
    raw_bytes,
    read_arrays,
    write_arrays,
)

# Our entry in a file's metadata.
_KEY = "optifunc"
# Three levels of JSON per level of a state dict; Python reads about 1000.
_DEEPEST = 100


def save_safetensors(
    state_dict: Mapping[str, Any], path: str | os.PathLike[str]
) -> None:
    """Write ``state_dict`` to the safetensors file ``path``, which holds no code.

    Arrays are stored under their paths (``state.0.exp_avg``), where other programs find
    them; if two paths are written in the same way, a number is appended. Everything
    else (numbers, names, nesting) is JSON in the file's metadata, with a checksum of
    the whole.

    Loading the file gives the same nesting, keys, numbers, and arrays, bit for bit,
    with NumPy arrays. NumPy scalars become Python numbers.

    The file is replaced atomically: a process that is killed during a save leaves the
    old file or the new one. It is first written next to ``path``, so the folder must
    have room for both. With several processes, only one may write a file.

    **Arguments:**

    - ``state_dict``: a dict of NumPy, JAX or torch arrays, numbers, strings, bools,
      None, and dicts, lists and tuples of them. Keys are numbers, strings, bools or
      None.
    - ``path``: the file, which is overwritten if it exists. A symbolic link stays one.

    **Raises:** `TypeError` for anything else in ``state_dict``, and for an array of a
    dtype that the format does not have: complex128, int4, strings, objects.
    `ValueError` for more than 100 levels of nesting. `RuntimeError` for an array that
    is partly held by other processes: gather it first.
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"state_dict must be a dict, found {state_dict!r}")
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    content = _encoded(state_dict, (), arrays)
    text = json.dumps({"crc32": _checksum(content, arrays), "content": content})
    with replacement(path) as file:
        write_arrays(file, arrays, {_KEY: text})


def load_safetensors(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a state dict written by `save_safetensors`, with NumPy arrays.

    **Arguments:**

    - ``path``: the file.

    **Returns:** a new state dict, for `Optimizer.load_state_dict`.

    **Raises:** `ValueError` for a file that is damaged or was written by another
    program; it says what is wrong. `FileNotFoundError` if there is no file.
    """
    with open(path, "rb") as file:
        try:
            arrays, metadata = read_arrays(file)
            if _KEY not in metadata:
                raise ValueError("it holds no state dict written by save_safetensors")
            stored = parse_json(metadata[_KEY].encode(), "its content")
            return _state_dict(stored, arrays)
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)!r} cannot be read: {error}") from error


def _encoded(
    value: Any, path: tuple[str, ...], arrays: dict[str, np.ndarray[Any, Any]]
) -> Any:
    """``value`` as JSON; its arrays are put into ``arrays``."""
    if len(path) > _DEEPEST:
        raise ValueError(
            f"a state dict in a file can have {_DEEPEST} levels, found more at "
            f"{_shown(path)}"
        )
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_array(value):
        # As text, for other programs; it may contain a lone surrogate.
        name = ".".join(path).encode(errors="backslashreplace").decode()
        name = unused_name(name, {METADATA, *arrays})
        arrays[name] = _storable(value, path)
        return {"array": name}
    if isinstance(value, Mapping):
        return {
            "dict": [
                [_key(key, path), _encoded(x, (*path, str(key)), arrays)]
                for key, x in value.items()
            ]
        }
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        parts = [_encoded(x, (*path, str(i)), arrays) for i, x in enumerate(value)]
        return {kind: parts}
    raise TypeError(
        "a state dict in a file can hold arrays, numbers, strings and None, found "
        f"{value!r} at {_shown(path)}"
    )


def _shown(path: tuple[str, ...]) -> str:
    return repr(".".join(path))


def _key(key: Any, path: tuple[str, ...]) -> Any:
    if isinstance(key, np.generic):
        key = key.item()
    # NaN is excluded: it would be a different key when read.
    if key is None or (isinstance(key, bool | int | float | str) and key == key):
        return key
    raise TypeError(
        "a dict in a file can have numbers, strings, bools and None as keys, found "
        f"{key!r} in the dict at {_shown(path)}"
    )


def _storable(value: Any, path: tuple[str, ...]) -> np.ndarray[Any, Any]:
    """An array with the memory layout and byte order of a file's arrays."""
    try:
        array = as_numpy(value)
        dtype = array.dtype.newbyteorder("=")
    except TypeError as error:
        raise TypeError(f"{error}, found at {_shown(path)}") from error
    if dtype not in DTYPES.values():
        raise TypeError(
            f"a safetensors file cannot hold the array of dtype {array.dtype} at "
            f"{_shown(path)}; convert it to one of "
            f"{', '.join(map(str, DTYPES.values()))}"
        )
    return np.ascontiguousarray(array, dtype).reshape(array.shape)


def _checksum(content: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> int:
    """A checksum that detects damage to any part of a state dict in a file."""
    crc = zlib.crc32(json.dumps(content).encode())
    for name, array in sorted(arrays.items()):
        crc = zlib.crc32(f"{name} {array.dtype} {array.shape}".encode(), crc)
        crc = zlib.crc32(raw_bytes(array), crc)
    return crc


def _state_dict(stored: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    """The state dict from which ``stored`` and ``arrays`` were made."""
    if isinstance(stored, dict) and stored.keys() == {"crc32", "content"}:
        content = stored["content"]
        if stored["crc32"] != _checksum(content, arrays):
            raise ValueError("it is damaged: its checksum is another one")
    else:
        content = stored  # the original form, without a checksum
    state_dict = _decoded(content, (), arrays)
    if not isinstance(state_dict, dict):
        raise ValueError("it holds no dict")
    if arrays:
        raise ValueError(f"these arrays belong to no entry: {sorted(arrays)}")
    return state_dict


def _decoded(
    value: Any, path: tuple[str, ...], arrays: dict[str, np.ndarray[Any, Any]]
) -> Any:
    """The inverse of `_encoded`; removes the arrays from ``arrays``."""
    if len(path) > _DEEPEST:
        raise ValueError("its content is nested too deeply")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    kind: Any = None
    content: Any = None
    if isinstance(value, dict) and len(value) == 1:
        ((kind, content),) = value.items()
    if kind == "array" and isinstance(content, str):
        if content not in arrays:
            raise ValueError(
                f"the array {content!r} of the entry {_shown(path)} is missing, or "
                "there for another entry too"
            )
        return arrays.pop(content)
    if kind == "dict" and _are_pairs(content):
        if len({key for key, _ in content}) != len(content):
            raise ValueError(f"the dict at {_shown(path)} has a key twice")
        return {key: _decoded(x, (*path, str(key)), arrays) for key, x in content}
    if kind in ("list", "tuple") and isinstance(content, list):
        parts = [_decoded(x, (*path, str(i)), arrays) for i, x in enumerate(content)]
        return tuple(parts) if kind == "tuple" else parts
    raise ValueError(
        f"the entry {_shown(path)} is not a number, a string or None, nor an array, "
        "dict, list or tuple as save_safetensors writes them"
    )


def _are_pairs(content: Any) -> bool:
    return isinstance(content, list) and all(
        isinstance(pair, list)
        and len(pair) == 2
        and (pair[0] is None or isinstance(pair[0], bool | int | float | str))
        for pair in content
    )
