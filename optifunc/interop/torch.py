"""Checkpoints between torch and optifunc.

``load_state_dict`` of `optifunc.optim` accepts a torch optimizer's ``state_dict()`` as
is. This module is for the other direction, and for parameters with different names or
axes on the other side::

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

Checkpoints of torchao's optimizers with 8-bit or 4-bit state are loaded like torch's,
and those of bitsandbytes with `optifunc.interop.from_bitsandbytes`. Codes stay codes in
an optimizer inside `quantized` with the same blocks (as with its defaults), and become
numbers in any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .._codebooks import dynamic_codebook
from .._quantization import (
    QuantizedArray,
    dequantize,
    is_quantized,
)
from ..optim._arrays import BITS, is_extended, without_tensors

__all__ = [
    "from_torch",
    "to_torch",
    "to_torchao",
]


def __dir__() -> list[str]:
    return __all__


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

    **Arguments:**

    - ``state_dict``: the result of the torch optimizer's ``state_dict()``.
    - ``source``: the names of each group's parameters in ``state_dict``. By default,
      the groups' ``"param_names"``, which exist if the optimizer was made from named
      parameters.
    - ``target``: the names of each group in the desired order, such as
      ``optimizer.parameter_names()``. By default, the order does not change.
    - ``rename``: a function from a source name to a target name. By default, they are
      the same.
    - ``transform``: a function of the target name and an array of the parameter's state
      that has axes, which returns the array for the other side. Apply the same
      operation to the moments as to the parameter, such as a transposition. (For a
      transposed matrix, Adafactor's row and column variances would have to be swapped,
      which ``transform`` cannot do.)

    **Returns:** a new state dict for `Optimizer.load_state_dict`.

    **Raises:** `ValueError` if names are needed and missing, or if no parameter has a
    target name.
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

    **Arguments:**

    - ``state_dict``: the result of the optimizer's ``state_dict()``.
    - ``source``, ``target``, ``rename``, ``transform``: as in `from_torch`, from this
      side to torch's.

    **Returns:** a new state dict with tensors instead of arrays. Quantized state is
    decoded; to keep codes, see `to_torchao`.

    **Raises:** `ImportError` without torch, and what `from_torch` does.
    """
    arrays = without_tensors(state_dict)
    tensors: dict[str, Any] = _with_tensors(
        _rearranged(arrays, source, target, rename, transform)
    )
    return tensors


def to_torchao(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict of `optifunc.optim` for an optimizer of torchao with narrow state.

    ::

        optimizer = of.optim.AdamW(params).wrap(of.quantized)
        ...
        torchao.optim.AdamW8bit(weights).load_state_dict(
            to_torchao(optimizer.state_dict())
        )

    Codes that torchao supports are kept: those of the dynamic map and of "fp8", in
    blocks that divide the parameter. Others become float32 numbers, with which torchao
    continues.

    **Arguments:**

    - ``state_dict``: the result of the optimizer's ``state_dict()``.

    **Returns:** a new state dict with tensors, including learning rates.

    **Raises:** `ImportError` without torchao.
    """
    import torch

    found = _with_tensors(without_tensors(state_dict), _torchao_tensor)
    for group in found["param_groups"]:
        group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32)
    return {**found}


def _torchao_tensor(x: QuantizedArray) -> Any:
    """A quantized array as a torchao tensor; None if torchao lacks its codes."""
    import torch
    from torchao.optim.subclass_4bit import OptimState4bit
    from torchao.optim.subclass_8bit import OptimState8bit
    from torchao.optim.subclass_fp8 import OptimStateFp8

    codec = x.codec
    size = math.prod(x.shape)
    if codec.map != "dynamic" or codec.block_size * np.size(x.scales) != size:
        return None
    codes, scale = (_with_tensors(np.asarray(a)) for a in (x.codes, x.scales))
    scale = scale.reshape(-1)
    if codec.bits == "fp8":
        return OptimStateFp8(codes.reshape(x.shape), scale)
    table = torch.tensor(dynamic_codebook(codec.bits, codec.is_signed))
    if codec.bits == 4:
        flat = codes.reshape(-1)
        return OptimState4bit(flat, scale, table, codec.is_signed, torch.Size(x.shape))
    return OptimState8bit(codes.reshape(x.shape), scale, table, codec.is_signed)


def _with_tensors(
    value: Any, coded: Callable[[QuantizedArray], Any] = lambda x: None
) -> Any:
    """Nested dicts, lists and tuples with tensors; ``coded``: a tensor for codes."""
    import torch

    if is_quantized(value):
        tensor = coded(value)
        return _with_tensors(_numbers(value)) if tensor is None else tensor
    if isinstance(value, np.ndarray):
        if is_extended(value.dtype.name):
            bits = torch.tensor(value.view(BITS[value.itemsize]))
            return bits.view(getattr(torch, value.dtype.name))
        # torch has only the machine's byte order.
        return torch.tensor(value.astype(value.dtype.newbyteorder("="), copy=False))
    if isinstance(value, dict):
        return {key: _with_tensors(x, coded) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_with_tensors(x, coded) for x in value)
    return value


def _numbers(value: Any) -> Any:
    """Decoded numbers; anything else is unchanged."""
    return np.array(dequantize(value)) if is_quantized(value) else value


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
    numbers = {key: _numbers(value) for key, value in entry.items()}
    return {
        key: np.asarray(transform(name, value)) if np.ndim(value) > 0 else value
        for key, value in numbers.items()
    }
