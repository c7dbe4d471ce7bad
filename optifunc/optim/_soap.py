"""SOAP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._transformation import GradientTransformation
from ..optimizers._soap import soap
from ._cohorts import Cohort, CohortStates
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class _SoapLayout(TorchLayout):
    """An empty list for an axis without a factor, as in the authors' checkpoints."""

    def unknown_fields(self, fields: set[str]) -> set[str]:
        # The authors' checkpoints keep a copy of these two for each parameter.
        copies = {"precondition_frequency", "shampoo_beta"}
        return super().unknown_fields(fields) - copies

    def exported(self, entry: dict[str, Any], gather: bool) -> dict[str, Any]:
        listed = super().exported(entry, gather)
        for name in ("GG", "Q"):
            given = listed.get(name, [None])
            listed[name] = [[] if x is None else x for x in given]
        return listed

    def cohorts(
        self,
        entries: Mapping[int, Mapping[str, Any]],
        group_of: Sequence[int],
        transformations: Sequence[GradientTransformation],
        states: CohortStates,
    ) -> list[Cohort]:
        own = {
            i: {
                name: [None if len(x) == 0 else x for x in value]
                if name in ("GG", "Q")
                else value
                for name, value in entry.items()
                if name in self.fields
            }
            for i, entry in entries.items()
        }
        return super().cohorts(own, group_of, transformations, states)


class SOAP(Optimizer):
    """Adam in the eigenbasis of Shampoo's preconditioner; `optifunc.soap`.

    It loads the ``state_dict`` of the authors' class.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `soap`.
    """

    factory = soap
    layout = _SoapLayout("step", "exp_avg", "exp_avg_sq", "GG", "Q", step_type=int)
    unsaved = frozenset({"one_sided", "mask", "maximize"})
    no_complex = "{name} does not support complex parameters"

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        groups = []
        # What is wrong with the whole is reported below.
        is_whole = isinstance(state_dict, Mapping) and "param_groups" in state_dict
        if not is_whole:
            return super().load_state_dict(state_dict)
        for group in map(dict, state_dict["param_groups"]):
            beta = group.get("shampoo_beta")
            # The authors' checkpoints have -1 for the second of the betas.
            if isinstance(beta, int | float) and beta < 0:
                group["shampoo_beta"] = None
            groups.append(group)
        super().load_state_dict({**state_dict, "param_groups": groups})
