"""Saving and loading: state dicts in torch's layout."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from .._transformation import GradientTransformation
from .._tree import PyTree, leaves_with_names, listed
from ._arrays import is_tensor, without_tensors
from ._checks import entry_with
from ._cohorts import Cohort, CohortStates
from ._groups import Group
from ._layouts import Entries
from ._signatures import hyperparameters_of, nearest_class, values_of

if TYPE_CHECKING:
    from ._optimizer import Optimizer

StateDict = dict[str, Any]


class Loaded(NamedTuple):
    """The result of loading a checkpoint into an optimizer."""

    groups: list[Group]
    cohorts: list[Cohort]
    order: list[int]  # of the parameters' first gradients


def saved_groups(optimizer: Optimizer) -> list[Group]:
    """The groups of a state dict, with the parameters' numbers."""
    group_of = optimizer.group_of()
    return [
        {
            **values_of(group),
            "params": [i for i, g in enumerate(group_of) if g == number],
        }
        for number, group in enumerate(optimizer.param_groups)
    ]


def load(optimizer: Optimizer, state_dict: Mapping[str, Any]) -> Loaded:
    """``optimizer`` with ``state_dict`` loaded; ``optimizer`` itself is not changed.

    **Raises:** see `Optimizer.load_state_dict`.
    """
    _check_entries(state_dict)
    group_of = optimizer.group_of()
    state_dict = _with_counts(optimizer.layout.listed(state_dict))
    saved = [without_tensors(dict(g)) for g in state_dict["param_groups"]]
    _check_sizes(saved, optimizer.param_groups, group_of)
    _check_class(saved, state_dict["state"], optimizer)
    ordered = [
        _by_name(group, live.get("param_names", names))
        for group, live, names in zip(
            saved, optimizer.param_groups, optimizer.parameter_names(), strict=True
        )
    ]
    groups = [
        _loaded_group(old, new, optimizer)
        for old, new in zip(optimizer.param_groups, ordered, strict=True)
    ]
    numbers = [i for group in ordered for i in group["params"]]
    position = {number: i for i, number in enumerate(numbers)}
    found = {
        position[number]: without_tensors(dict(entry))
        for number, entry in state_dict["state"].items()
        if number in position
    }
    _warn_of_order(saved, optimizer.param_groups, state_dict["state"])
    before = [position[i] for group in saved for i in group["params"]]
    params = optimizer.params
    entries = optimizer.layout.in_own_order(found, before, params)
    transformations = [optimizer._wrapped(values_of(group)) for group in groups]
    cohorts = _cohorts(optimizer, entries, transformations, params)
    members = [i for cohort in cohorts for i in cohort.members]
    order = [*entries, *(i for i in members if i not in entries)]
    return Loaded(groups, cohorts, order)


def _check_entries(state_dict: Mapping[str, Any]) -> None:
    """Check that a checkpoint has the two entries of every optimizer's."""
    entries = ("state", "param_groups")
    missing = [name for name in entries if name not in state_dict]
    if missing:
        raise KeyError(
            f"state_dict has no {listed(missing)}, found the keys "
            f"{listed(list(state_dict))}; pass the dict that the optimizer's "
            f"state_dict() returned{entry_with(state_dict, entries)}"
        )


def _with_counts(state_dict: Mapping[str, Any]) -> StateDict:
    """``state_dict`` with a step count for each parameter, as in torch.

    Many packages count the steps of a group in the group. MADGRAD's counts those of all
    parameters in an entry ``"k"`` among the parameters' entries.
    """
    entries = {**state_dict["state"]}
    of_all = entries.pop("k", None)
    groups = []
    for group in state_dict["param_groups"]:
        count = without_tensors({"step": group.get("step", of_all)})["step"]
        for number in group["params"]:
            if count is not None and entries.get(number):
                # A tensor of one element serves as a count, too.
                step = np.reshape(count, ())
                entries[number] = {"step": step, **entries[number]}
        groups.append({k: v for k, v in group.items() if k != "step"})
    return {"state": entries, "param_groups": groups}


def _cohorts(
    optimizer: Optimizer,
    entries: Entries,
    transformations: Sequence[GradientTransformation],
    params: PyTree,
) -> list[Cohort]:
    layout = optimizer.layout
    states = CohortStates(params, layout.key)
    cohorts = []
    for cohort in layout.cohorts(
        entries, optimizer.group_of(), transformations, states
    ):
        try:
            cohorts.append(states.fitted(cohort, transformations[cohort.group]))
        except KeyError:
            # As in torch, the missing field is reported at the next step.
            cohorts.append(cohort)
    return cohorts


def _check_sizes(
    saved: Sequence[Group], live: Sequence[Group], group_of: Sequence[int]
) -> None:
    if len(saved) != len(live):
        raise ValueError("loaded state dict has a different number of parameter groups")
    if any(
        len(group["params"]) != group_of.count(number)
        for number, group in enumerate(saved)
    ):
        raise ValueError(
            "loaded state dict contains a parameter group "
            "that doesn't match the size of optimizer's group"
        )


def _unsaved(optimizer: Optimizer, group: Group) -> frozenset[str]:
    """The hyperparameters that a checkpoint's group may lack."""
    if group.keys() <= optimizer.short_group:
        return frozenset(optimizer.defaults)
    return optimizer.unsaved


def _check_class(
    saved: Sequence[Group],
    state: Mapping[Any, Mapping[str, Any]],
    optimizer: Optimizer,
) -> None:
    """Check that hyperparameters and state are those of this class.

    **Raises:** `ValueError` that names the class whose hyperparameters they are.
    """
    own_class: Any = type(optimizer)
    known = hyperparameters_of(own_class)
    # A checkpoint does not contain arguments that are not kept in the groups.
    kept = known.keys() & optimizer.defaults.keys()
    needed = {name for name in kept if known[name]}
    fields = {key for entry in state.values() for key in entry}
    surplus = optimizer.layout.unknown_fields(fields)
    for group in saved:
        missing = sorted(needed - group.keys() - _unsaved(optimizer, group))
        if missing or surplus:
            lack = f"its groups lack {missing}"
            wrong = lack if missing else f"its state holds {sorted(surplus)}"
            raise ValueError(
                f"this state dict is not one of {own_class.__name__}: {wrong}; its "
                f"hyperparameters are those of {nearest_class(group.keys())}"
            )


def _by_name(saved: Group, own: Sequence[str]) -> Group:
    """A checkpoint's group in the order of ``own``, if that has the same names.

    If the names differ, the order counts, as in torch.
    """
    old = saved.get("param_names")
    if old is None or not len(old) == len(set(old)) == len(saved["params"]):
        return saved
    # ``own`` may repeat a name: "a.b" is also the path of a key "a.b".
    if len(old) != len(own) or set(old) != set(own):
        return saved
    numbers = dict(zip(old, saved["params"], strict=True))
    return {**saved, "params": [numbers[n] for n in own], "param_names": list(own)}


def _loaded_group(old: Group, new: Group, optimizer: Optimizer) -> Group:
    """A checkpoint's group with the current group's parameters.

    torch adds hyperparameters over time. If an old checkpoint lacks them, they are off,
    unless the class declares that they are never saved.
    """
    own_class: Any = type(optimizer)
    known = hyperparameters_of(own_class)
    absent = {k: x for k, x in known.items() if k not in new}
    off = {k: x for k, x in absent.items() if not x}
    kept = {k: old[k] for k in absent if k in _unsaved(optimizer, new)}
    loaded = {**new, "params": old["params"]} | off | kept
    if "param_names" in old:
        loaded.setdefault("param_names", old["param_names"])
    return loaded


def _warn_of_order(
    saved: Sequence[Group], live: Sequence[Group], state: Mapping[Any, Any]
) -> None:
    """Warn if parameters of a torch checkpoint may be matched wrongly by order.

    torch lists parameters in the order in which modules register them; JAX sorts the
    keys of a dict. If two parameters have the same shape, nothing else shows a mistake.
    """
    is_torch = any(
        is_tensor(value) for entry in state.values() for value in entry.values()
    )
    for old, new in zip(saved, live, strict=True):
        if not is_torch or "param_names" in old or not _is_sorted(new["params"]):
            continue
        by_shape: dict[Any, list[str]] = {}
        for name, leaf in leaves_with_names(new["params"]):
            by_shape.setdefault(np.shape(leaf), []).append(name)
        alike = [
            name for names in by_shape.values() if len(names) > 1 for name in names
        ]
        if alike:
            warnings.warn(
                "the torch checkpoint has no parameter names, so its state is "
                "matched by order, which JAX has sorted by name here; parameters of "
                f"equal shape may be swapped: {listed(alike)}. Save it from an "
                "optimizer made from model.named_parameters(), pass the names to "
                "optifunc.interop.torch.from_torch(source=..., target=...), or pass "
                "the parameters here as (name, array) pairs in torch's order",
                UserWarning,
                stacklevel=4,
            )


def _is_sorted(params: PyTree) -> bool:
    """Whether the order of the leaves is that of the sorted keys of a dict."""
    paths = jax.tree_util.tree_leaves_with_path(params)
    keys = [key for path, _ in paths for key in path]
    # An `OrderedDict` keeps its order, and is not sorted.
    return type(params) is dict and any(
        isinstance(key, jax.tree_util.DictKey) for key in keys
    )
