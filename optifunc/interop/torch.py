"""Checkpoints between torch and optifunc.

``load_state_dict`` of `optifunc.optim` takes a torch optimizer's ``state_dict()`` as
it is. What is here serves the other direction, and parameters that have other names or
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
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..optim._arrays import BITS, is_extended, without_tensors

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

    - ``state_dict``: what the torch optimizer's ``state_dict()`` returned.
    - ``source``: for each group the names of its parameters in ``state_dict``. By
      default the groups' ``"param_names"``, which are there if the optimizer was made
      of named parameters.
    - ``target``: for each group the names in the order that is wanted, such as
      ``optimizer.parameter_names()``. By default the order stays.
    - ``rename``: a function from a source name to a target name. By default they are
      the same.
    - ``transform``: a function of the target name and an array of the parameter's
      state that has axes, which returns the array for the other side. What is done to
      a parameter, such as a transposition, is done to its moments. (Adafactor's row
      and column variances of a transposed matrix would change places, which
      ``transform`` cannot say.)

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

    - ``state_dict``: what the optimizer's ``state_dict()`` returned.
    - ``source``, ``target``, ``rename``, ``transform``: as in `from_torch`, from this
      side to torch's.

    **Returns:** a new state dict with tensors instead of arrays.

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
        if is_extended(value.dtype.name):
            bits = torch.tensor(value.view(BITS[value.itemsize]))
            return bits.view(getattr(torch, value.dtype.name))
        # torch has the machine's byte order alone.
        return torch.tensor(value.astype(value.dtype.newbyteorder("="), copy=False))
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
