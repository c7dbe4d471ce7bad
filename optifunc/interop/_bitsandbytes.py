"""Checkpoints of bitsandbytes: state by number, and settings as pairs of betas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import optim
from .._codebooks import dynamic_codebook
from .._quantization import (
    Codec,
    QuantizedArray,
    from_blocks,
    is_quantized,
    recoded,
)
from ..optim._arrays import without_tensors

# Newer versions keep values without a parameter's shape under this key.
_NESTED = "__bnb_optimizer_quant_state__"
_BLOCK_SIZES = (256, 2048)  # of current versions, and of its first versions


class _Names(NamedTuple):
    """The names of what bitsandbytes numbers."""

    fields: tuple[str, ...]  # for state1 and state2
    beta: str | None = None  # the setting that is stored as the first of the betas
    unused: frozenset[str] = frozenset()  # settings that mean nothing here
    counts: bool = True  # whether a state here has a step count


_MOMENTS = _Names(("exp_avg", "exp_avg_sq"))
_NAMES: dict[type, _Names] = {
    optim.Adam: _MOMENTS,
    optim.AdamW: _MOMENTS,
    optim.Lion: _Names(("exp_avg",), None, frozenset({"eps"}), counts=False),
    optim.SGD: _Names(
        ("momentum_buffer",), "momentum", frozenset({"eps"}), counts=False
    ),
    optim.RMSprop: _Names(("square_avg",), "alpha"),
    optim.Adagrad: _Names(("sum",)),
}
# Settings of AdEMAMix that the groups of all with two states have.
_OF_OTHERS = {"alpha", "t_alpha", "t_beta3"}


def from_bitsandbytes(
    state_dict: Mapping[str, Any], optimizer: type[optim.Optimizer]
) -> dict[str, Any]:
    """A state dict of bitsandbytes for an optimizer of `optifunc.optim`.

    ::

        optimizer = of.optim.AdamW(params).wrap(of.quantized)
        optimizer.load_state_dict(from_bitsandbytes(state_dict, of.optim.AdamW))

    Codes are kept if the optimizer here has the same ones, as in an 8-bit `AdamW`
    inside `quantized` with its defaults. An optimizer that is not wrapped gets the
    decoded numbers. bitsandbytes keeps nonnegative state in signed codes if it is an
    optimizer's only state (`RMSprop`, `Adagrad`); `quantized` rounds it to unsigned
    codes.

    **Arguments:**

    - ``state_dict``: the state dict of a bitsandbytes optimizer, with 8 or 32 bits.
    - ``optimizer``: the corresponding class: `Adam`, `AdamW`, `Lion`, `SGD`, `RMSprop`
      or `Adagrad`. The checkpoint does not contain it.

    **Returns:** a state dict for `Optimizer.load_state_dict`, and for `from_torch` if
    names or axes differ.

    **Raises:** `ValueError` for another class, for a checkpoint with another number of
    states, and for codes with another table or block size.
    """
    names = _field_names(optimizer)
    found = without_tensors(state_dict)
    state = {
        number: _entry({**entry, **entry.get(_NESTED, {})}, names, number)
        for number, entry in found["state"].items()
    }
    groups = [_own_group(group, names) for group in found["param_groups"]]
    return {**found, "state": state, "param_groups": groups}


def to_bitsandbytes(
    state_dict: Mapping[str, Any], optimizer: type[optim.Optimizer]
) -> dict[str, Any]:
    """A state dict of `optifunc.optim` for an optimizer of bitsandbytes.

    Quantized state becomes 8-bit codes, or stays unchanged if it is already stored in
    such codes; the rest becomes float32. Features that bitsandbytes lacks (``amsgrad``,
    ``nesterov``, ``centered``, `kahan` and the like) are left out.

    **Arguments:**

    - ``state_dict``: the result of the optimizer's ``state_dict()``.
    - ``optimizer``: its class, as in `from_bitsandbytes`.

    **Returns:** a state dict with tensors.

    **Raises:** `ImportError` without torch; `ValueError` for another class, and if a
    parameter's state lacks a field that bitsandbytes needs.
    """
    names = _field_names(optimizer)
    state = {
        number: _exported(entry, names, number)
        for number, entry in without_tensors(state_dict)["state"].items()
    }
    groups = []
    for group in state_dict["param_groups"]:
        beta = (0.9, 0.0) if names.beta is None else (group[names.beta], 0.0)
        groups.append({"betas": beta, "eps": 0.0, **group})
    return {**state_dict, "state": state, "param_groups": groups}


def _field_names(optimizer: type[optim.Optimizer]) -> _Names:
    for kind in optimizer.__mro__:
        if kind in _NAMES:
            return _NAMES[kind]
    known = sorted(kind.__name__ for kind in _NAMES)
    raise ValueError(
        f"optimizer must be a class of optifunc.optim that bitsandbytes has in 8 bits "
        f"({', '.join(known)}), found {optimizer.__name__}"
    )


def _entry(entry: Mapping[str, Any], names: _Names, number: Any) -> dict[str, Any]:
    """A parameter's state under its names here."""
    count = sum(f"state{i}" in entry for i in (1, 2))
    if count != len(names.fields):
        raise ValueError(
            f"parameter {number} has {count} states in the checkpoint, and "
            f"{len(names.fields)} are needed: {', '.join(names.fields)}"
        )
    own: dict[str, Any] = {}
    if names.counts:
        own["step"] = np.float32(entry["step"])
    for i, field in enumerate(names.fields, 1):
        values = entry[f"state{i}"]
        if values.dtype == np.uint8:
            place = f"state{i} of parameter {number}"
            table, scales = entry[f"qmap{i}"], entry[f"absmax{i}"]
            own[field] = _from_codes(values, scales, table, place)
        else:
            own[field] = values
    return own


def _from_codes(codes: Any, scales: Any, table: Any, place: str) -> QuantizedArray:
    is_signed = bool(table[0] < 0)
    if not np.array_equal(table, dynamic_codebook(8, is_signed)):
        raise ValueError(
            f"{place} has codes of another table than the dynamic map of 8 bits"
        )
    sizes = [size for size in _BLOCK_SIZES if -(-codes.size // size) == scales.size]
    if scales.ndim != 1 or not sizes:
        raise ValueError(
            f"{place} has {codes.size} codes and scales of shape {scales.shape}; "
            f"expected one for each block of {' or '.join(map(str, _BLOCK_SIZES))}"
        )
    return from_blocks(codes, scales, codes.shape, _codec(is_signed, sizes[0]))


def _codec(is_signed: bool, block_size: int) -> Codec:
    return Codec(8, "dynamic", is_signed, False, block_size, by_row=False)


def _own_group(group: Mapping[str, Any], names: _Names) -> dict[str, Any]:
    """A group's settings under their names here."""
    own = {k: v for k, v in group.items() if k not in _OF_OTHERS | names.unused}
    if len(names.fields) == 1 and "exp_avg" not in names.fields:
        betas = own.pop("betas")
        if names.beta is not None:
            own[names.beta] = betas[0]
    return own


def _exported(entry: Mapping[str, Any], names: _Names, number: Any) -> dict[str, Any]:
    """A parameter's state under the names of bitsandbytes."""
    import torch

    # After a checkpoint without a count, the first step is not really the first.
    result: dict[str, Any] = {"step": int(entry.get("step", 1))}
    for i, field in enumerate(names.fields, 1):
        if field not in entry:
            raise ValueError(
                f"parameter {number} has no {field} in its state, which bitsandbytes "
                "needs"
            )
        value = entry[field]
        if not is_quantized(value):
            result[f"state{i}"] = torch.tensor(np.asarray(value, np.float32))
            continue
        is_signed = i == 1
        value = recoded(value, _codec(is_signed, _BLOCK_SIZES[0]))
        codes = np.array(value.codes).reshape(value.shape)
        result[f"state{i}"] = torch.tensor(codes)
        result[f"absmax{i}"] = torch.tensor(np.array(value.scales).reshape(-1))
        result[f"qmap{i}"] = torch.tensor(dynamic_codebook(8, is_signed))
    return result
