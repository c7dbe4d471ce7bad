"""Prodigy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ..optimizers._prodigy import prodigy
from ._layouts import Entries, GroupLayout
from ._optimizer import Optimizer

# prodigyopt keeps these as vectors, to take every slice_p-th element.
_VECTORS = ("s", "p0")


class _ProdigyLayout(GroupLayout):
    """prodigyopt's keys and shapes."""

    def exported(self, entry: dict[str, Any], gather: bool) -> dict[str, Any]:
        listed = super().exported(entry, gather)
        return {k: x.reshape(-1) if k in _VECTORS else x for k, x in listed.items()}

    def in_own_order(
        self, entries: Entries, before: Sequence[int], params: Any
    ) -> Entries:
        shapes = [np.shape(leaf) for leaf in jax.tree.leaves(params)]
        return {
            i: {
                key: _shaped(value, shapes[i]) if key in _VECTORS else value
                for key, value in entry.items()
            }
            for i, entry in entries.items()
        }


def _shaped(value: Any, shape: tuple[int, ...]) -> Any:
    """A vector in the shape of its parameter; a single 0 is expanded."""
    value = np.asarray(value)
    if value.ndim == 0:
        return np.broadcast_to(value, shape)
    # A vector of another size is rejected later, like all state.
    return value.reshape(shape) if value.size == np.prod(shape, dtype=int) else value


class Prodigy(Optimizer):
    """The class of the same name in prodigyopt: `optifunc.prodigy`, stateful.

    Each group has its own estimate. It loads checkpoints of prodigyopt with
    ``slice_p=1``, the default; they lack ``compensation``, which starts from 0.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `prodigy`.
    """

    factory = prodigy
    layout = _ProdigyLayout(
        "s",
        "p0",
        "exp_avg",
        "exp_avg_sq",
        "compensation",
        in_groups={
            "step": "k",
            "d": "d",
            "d_max": "d_max",
            "d_numerator": "d_numerator",
        },
        also_by_parameter=("step",),
        unused={"fsdp_in_use": False, "slice_p": 1},
    )
