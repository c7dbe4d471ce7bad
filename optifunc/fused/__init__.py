"""Steps that pass over memory once, on CPU."""

import typing as _typing

from .._public import offered as _offered

if _typing.TYPE_CHECKING:
    from ._apply_gradients import apply_gradients as apply_gradients
    from ._fuse import fuse as fuse
else:
    __all__, __dir__, __getattr__ = _offered(__name__)
