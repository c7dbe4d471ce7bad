"""How a ``state_dict`` lists the state of each parameter."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from .._state import Field, state_fields
from .._transformation import GradientTransformation
from .._tree import path_name
from ._arrays import as_numpy
from ._cohorts import Cohort, CohortStates, Columns

Entries = dict[int, dict[str, Any]]


class StateLayout:
    """Every field by its name, with the values and dtypes that the state has.

    **Arguments:**

    - ``by_path``: name a field by its dotted path (``"1.exp_avg"``), which is
      unambiguous in any composition, instead of its own name (``"exp_avg"``).
    """

    def __init__(self, *, by_path: bool = False) -> None:
        self.by_path = by_path

    def key(self, field: Field) -> str:
        """The key of a field."""
        return path_name(field.path) if self.by_path else field.name

    def entries(
        self, cohorts: Sequence[Cohort], states: CohortStates, *, gather: bool = False
    ) -> Entries:
        """The state of each parameter that has one, as NumPy arrays.

        **Arguments:**

        - ``cohorts``: all cohorts.
        - ``states``: reads their states.
        - ``gather``: whether to fetch what other processes hold.
        """
        found: Entries = {}
        for cohort in cohorts:
            columns = states.columns(cohort)
            for i in cohort.members:
                own = {name: x[i] for name, x in columns.own.items() if i in x}
                found[i] = self.exported(columns.shared | own, gather)
        return found

    def unknown_fields(self, fields: set[str]) -> set[str]:
        """Those of ``fields`` that a state of this layout cannot have."""
        return set()

    def with_fields(self, names: set[str]) -> StateLayout:
        """The layout of a state that may also have these fields."""
        return self

    def exported(self, entry: dict[str, Any], gather: bool) -> dict[str, Any]:
        """One parameter's state as NumPy arrays."""
        read = partial(as_numpy, gather=gather)
        return {key: jax.tree.map(read, value) for key, value in entry.items()}

    def cohorts(
        self,
        entries: Mapping[int, Mapping[str, Any]],
        group_of: Sequence[int],
        transformations: Sequence[GradientTransformation],
        states: CohortStates,
    ) -> list[Cohort]:
        """The inverse of `entries`, not yet fitted to the transformations."""
        shared_names = [
            {"step"} | self._shared_names(tx, states) for tx in transformations
        ]
        found: dict[Any, tuple[list[int], Columns]] = {}
        for i, entry in entries.items():
            names = shared_names[group_of[i]]
            present = {k: v for k, v in entry.items() if v is not None}
            shared = {k: v for k, v in present.items() if k in names}
            own = {k: v for k, v in present.items() if k not in names}
            new = Columns(shared, {})
            age = group_of[i], new.shared_content(), frozenset(own)
            members, columns = found.setdefault(age, ([], new))
            members.append(i)
            for name, value in own.items():
                columns.own.setdefault(name, {})[i] = value
        return [
            Cohort(
                age[0],
                tuple(sorted(members)),
                int(columns.shared.get("step", 0)),
                kept=columns,
            )
            for age, (members, columns) in found.items()
        ]

    def _shared_names(
        self, tx: GradientTransformation, states: CohortStates
    ) -> set[str]:
        params = states.params
        fields = state_fields(jax.eval_shape(tx.init, params), params)
        return {self.key(f) for f, _ in fields if not f.role.is_per_parameter}

    def in_own_order(
        self, entries: Entries, before: Sequence[int], params: Any
    ) -> Entries:
        """A checkpoint's entries for parameters in the order of this optimizer.

        **Arguments:**

        - ``entries``: a checkpoint's state by the numbers that parameters have here.
        - ``before``: these numbers in the order of the checkpoint.
        - ``params``: the parameters.
        """
        return entries

    def saved(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        """A state dict in the form to be saved.

        **Arguments:**

        - ``state_dict``: one that lists all state by parameter.
        """
        return state_dict

    def listed(self, state_dict: Mapping[str, Any]) -> Mapping[str, Any]:
        """The inverse of `saved`.

        **Arguments:**

        - ``state_dict``: a state dict to be loaded.
        """
        return state_dict


class TorchLayout(StateLayout):
    """torch's keys in torch's order.

    **Arguments:**

    - ``fields``: the keys of a parameter's state.
    - ``step_type``: the dtype of torch's step count, for any dtype of the parameters.
    """

    def __init__(self, *fields: str, step_type: Any = np.float32) -> None:
        super().__init__()
        self.fields = fields
        self.step_type = step_type

    def unknown_fields(self, fields: set[str]) -> set[str]:
        return fields - {*self.fields}

    def with_fields(self, names: set[str]) -> StateLayout:
        other = copy.copy(self)
        other.fields = (*self.fields, *sorted(names - {*self.fields}))
        return other

    def exported(self, entry: dict[str, Any], gather: bool) -> dict[str, Any]:
        own = {k: entry[k] for k in self.fields if k in entry}
        listed = super().exported(own, gather)
        if "step" in listed:
            listed["step"] = self._count(listed["step"])
        return listed

    def _count(self, step: Any) -> Any:
        return int(step) if self.step_type is int else np.asarray(step, self.step_type)


class GroupLayout(TorchLayout):
    """torch's keys, with shared values in the group.

    Parameters with different numbers of steps share nothing: then the group has the
    values of the oldest, and the others keep their own.

    **Arguments:**

    - ``fields``: the keys of a parameter's state.
    - ``in_groups``: for each field, its key in the groups.
    - ``also_by_parameter``: those of them that each parameter's state also has.
    - ``unused``: other entries that the package's groups have and needs for loading.
    """

    def __init__(
        self,
        *fields: str,
        in_groups: Mapping[str, str],
        also_by_parameter: tuple[str, ...] = (),
        unused: Mapping[str, Any],
    ) -> None:
        super().__init__(*fields, *in_groups, step_type=int)
        self.in_groups = in_groups
        self.also_by_parameter = also_by_parameter
        self.unused = unused

    def saved(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        groups, state = [], dict(state_dict["state"])
        for group in state_dict["param_groups"]:
            members = [i for i in group["params"] if i in state]
            moved = self.in_groups.keys() - self.also_by_parameter
            oldest = max(members, key=lambda i: state[i]["step"], default=None)
            shared = {} if oldest is None else self._shared(state[oldest])
            for i in members:
                if self._shared(state[i]) == shared:
                    own = state[i].items()
                    state[i] = {k: x for k, x in own if k not in moved}
            renamed = {self.in_groups[name]: value for name, value in shared.items()}
            groups.append({**self.unused, **group, **renamed})
        return {"state": state, "param_groups": groups}

    def _shared(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """The part of a parameter's state that is in the group, as Python numbers."""
        return {
            name: np.asarray(entry[name]).item()
            for name in self.in_groups
            if name in entry
        }

    def listed(self, state_dict: Mapping[str, Any]) -> Mapping[str, Any]:
        groups, state = [], dict(state_dict["state"])
        for group in map(dict, state_dict["param_groups"]):
            shared = {
                name: group.pop(key)
                for name, key in self.in_groups.items()
                if key in group
            }
            for i in group["params"]:
                if i in state:
                    state[i] = {**shared, **state[i]}
            groups.append(group)
        return {**state_dict, "state": state, "param_groups": groups}
