"""Optimizers on a mesh of devices: placement of state, and ZeRO."""

from .._public import exported_names as _exported, listed_names as _listed
from ._spread_matrices import spread_matrices as spread_matrices
from ._state import (
    abstract_state as abstract_state,
    init as init,
    state_shardings as state_shardings,
)
from ._zero import zero as zero

__all__ = _exported(globals())


def __dir__() -> list[str]:
    return _listed(globals())
