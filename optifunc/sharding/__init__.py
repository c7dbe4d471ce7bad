"""Optimizers on a mesh of devices: placement of state, and ZeRO."""

import typing as _typing

from .._public import offered as _offered

if _typing.TYPE_CHECKING:
    from ._spread_matrices import spread_matrices as spread_matrices
    from ._state import (
        abstract_state as abstract_state,
        init as init,
        state_shardings as state_shardings,
    )
    from ._zero import zero as zero
else:
    __all__, __dir__, __getattr__ = _offered(__name__)
