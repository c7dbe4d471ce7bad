"""How a ``state_dict`` lists the state of each parameter."""

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

    - ``by_path``: name a field by its dotted path (``"1.exp_avg"``), which tells fields
      of any composition apart, instead of its own name (``"exp_avg"``).
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
        treedef: Any = states.treedef
        params = treedef.unflatten(states.leaves)
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


class TorchLayout(StateLayout):
    """torch's keys in torch's order.

    **Arguments:**

    - ``fields``: the keys of a parameter's state.
    - ``step_type``: what torch counts steps in, whatever the parameters are.
    """

    def __init__(self, *fields: str, step_type: Any = np.float32) -> None:
        super().__init__()
        self.fields = fields
        self.step_type = step_type

    def unknown_fields(self, fields: set[str]) -> set[str]:
        return fields - {*self.fields}

    def exported(self, entry: dict[str, Any], gather: bool) -> dict[str, Any]:
        own = {k: entry[k] for k in self.fields if k in entry}
        listed = super().exported(own, gather)
        if "step" in listed:
            listed["step"] = self._count(listed["step"])
        return listed

    def _count(self, step: Any) -> Any:
        return int(step) if self.step_type is int else np.asarray(step, self.step_type)
