"""Checkpoints between torch and optifunc, and in files without pickle.

``load_state_dict`` of `optifunc.optim` takes a torch optimizer's ``state_dict()`` as
it is. What is here serves the other direction, parameters that have other names or
axes on the other side, and safetensors files::

    # optifunc -> torch
    torch_optimizer.load_state_dict(to_torch(optimizer.state_dict()))

    # torch -> Flax: other names, and kernels that are transposed weights
    state_dict = from_torch(
        torch_optimizer.state_dict(),           # made of model.named_parameters()
        target=optimizer.parameter_names(),
        rename=lambda name: name.replace("weight", "kernel"),
        transform=lambda name, x: x.T if name.endswith("kernel") else x,
    )
    optimizer.load_state_dict(state_dict)
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..optim._arrays import as_numpy, is_array, without_tensors

Names = Sequence[Sequence[str]]
Rename = Callable[[str], str]
Transform = Callable[[str, Any], Any]


def from_torch(
    state_dict: Mapping[str, Any],
    *,
    source: Names | None = None,
    target: Names | None = None,
    rename: Rename | None = None,
    transform: Transform | None = None,
) -> dict[str, Any]:
    """A torch optimizer's state dict with NumPy arrays, for other names and axes.

    **Arguments:** ``source``: for each group the names of its parameters in
    ``state_dict`` (default: the groups' ``"param_names"``, which are there if the
    optimizer was made of named parameters); ``target``: for each group the names in
    the order that is wanted, such as ``optimizer.parameter_names()`` (default: the
    order stays); ``rename``: from a source name to a target name (default: they are the
    same); ``transform``: called with the target name and each array of the
    parameter's state that has axes, returns the array for the other side: what is
    done to a parameter, for example a transposition, is done to its moments.
    (Adafactor's row and column variances of a transposed matrix would change places,
    which ``transform`` cannot say.)

    **Returns:** a new state dict for `Optimizer.load_state_dict`.

    **Raises:** `ValueError` if names are needed and missing, or if a target name is
    no parameter's.
    """
    return _rearranged(without_tensors(state_dict), source, target, rename, transform)


def to_torch(
    state_dict: Mapping[str, Any],
    *,
    source: Names | None = None,
    target: Names | None = None,
    rename: Rename | None = None,
    transform: Transform | None = None,
) -> dict[str, Any]:
    """A state dict of `optifunc.optim` with tensors, for torch's ``load_state_dict``.

    **Arguments:** as `from_torch`'s, from this side to torch's.

    **Returns:** a new state dict with tensors in the place of arrays.

    **Raises:** `ImportError` without torch, and what `from_torch` does.
    """
    arrays = without_tensors(state_dict)
    tensors: dict[str, Any] = _with_tensors(
        _rearranged(arrays, source, target, rename, transform)
    )
    return tensors


def _with_tensors(value: Any) -> Any:
    import torch

    if isinstance(value, np.ndarray):
        if value.dtype == jnp.bfloat16:
            return torch.tensor(value.astype(np.float32)).to(torch.bfloat16)
        return torch.tensor(value)
    if isinstance(value, dict):
        return {key: _with_tensors(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_with_tensors, value))
    return value


def _rearranged(
    state_dict: dict[str, Any],
    source: Names | None,
    target: Names | None,
    rename: Rename | None,
    transform: Transform | None,
) -> dict[str, Any]:
    """The state dict with parameters renamed, in another order, along other axes."""
    if source is None and target is None and rename is None and transform is None:
        return state_dict
    groups, state, count = [], {}, 0
    for number, group in enumerate(state_dict["param_groups"]):
        old = source[number] if source is not None else group.get("param_names")
        if old is None or len(old) != len(group["params"]):
            raise ValueError(
                f"group {number} has {len(group['params'])} parameters and "
                f"{'no' if old is None else len(old)} names; give source=, for each "
                "group the list of its parameters' names"
            )
        new = [rename(name) for name in old] if rename is not None else list(old)
        numbers = dict(zip(new, group["params"], strict=True))
        wanted = target[number] if target is not None else new
        missing = sorted(set(wanted) - set(numbers))
        if missing or len(wanted) != len(new):
            raise ValueError(
                f"group {number}: no parameter is named {missing}; found {new}"
                if missing
                else f"group {number}: {len(wanted)} names for {len(new)} parameters"
            )
        for position, name in enumerate(wanted, count):
            entry = state_dict["state"].get(numbers[name])
            if entry is not None:
                state[position] = _transformed(name, entry, transform)
        params = list(range(count, count + len(wanted)))
        count += len(wanted)
        names = {"param_names": list(wanted)} if "param_names" in group else {}
        groups.append({**group, **names, "params": params})
    return {**state_dict, "state": state, "param_groups": groups}


def _transformed(
    name: str, entry: Mapping[str, Any], transform: Transform | None
) -> dict[str, Any]:
    if transform is None:
        return dict(entry)
    return {
        key: np.asarray(transform(name, value)) if np.ndim(value) > 0 else value
        for key, value in entry.items()
    }


def save_safetensors(
    state_dict: Mapping[str, Any], path: str | os.PathLike[str]
) -> None:
    """Write ``state_dict`` to the safetensors file ``path``, which holds no code.

    Arrays are stored under their paths (``state.0.exp_avg``), everything else (numbers,
    names, nesting) as JSON in the file's metadata. torch's tensors are taken too.

    **Raises:** `TypeError` for a value that is no array, number, string, None, or a
    dict, list or tuple of them; `ImportError` without the package safetensors.
    """
    import safetensors.numpy

    arrays: dict[str, Any] = {}
    structure = _encoded(state_dict, (), arrays)
    metadata = {"optifunc": json.dumps(structure)}
    with open(path, "wb") as file:
        file.write(safetensors.numpy.save(arrays, metadata))


def load_safetensors(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read from ``path`` what `save_safetensors` wrote, with NumPy arrays.

    **Raises:** `ValueError` for a file that is not one of `save_safetensors`;
    `ImportError` without the package safetensors.
    """
    import safetensors

    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
    if "optifunc" not in metadata:
        raise ValueError(f"{path} holds no state dict written by save_safetensors")
    with open(path, "rb") as file:
        arrays = dict(safetensors.deserialize(file.read()))
    state_dict: dict[str, Any] = _decoded(json.loads(metadata["optifunc"]), arrays)
    return state_dict


# How safetensors calls the dtypes that it knows.
_DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": jnp.bfloat16,
    "C64": np.complex64,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


def _encoded(value: Any, path: tuple[str, ...], arrays: dict[str, Any]) -> Any:
    """``value`` as JSON; its arrays are put into ``arrays``."""
    if isinstance(value, np.generic) and not isinstance(value, np.ndarray):
        value = value.item()
    if is_array(value):
        name, array = ".".join(path), as_numpy(value)
        arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
        return {"array": name}
    if isinstance(value, Mapping):
        return {
            "dict": [
                [key, _encoded(x, (*path, str(key)), arrays)]
                for key, x in value.items()
            ]
        }
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        parts = [_encoded(x, (*path, str(i)), arrays) for i, x in enumerate(value)]
        return {kind: parts}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"a state dict in a file can hold arrays, numbers, strings and None, found "
        f"{value!r} at {'.'.join(path)!r}"
    )


def _decoded(value: Any, arrays: Mapping[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        found = arrays[content]
        array: Any = np.frombuffer(found["data"], _DTYPES[found["dtype"]])
        return array.reshape(found["shape"]).copy()
    if kind == "dict":
        return {key: _decoded(x, arrays) for key, x in content}
    parts = [_decoded(x, arrays) for x in content]
    return tuple(parts) if kind == "tuple" else parts
