"""optax.contrib: built from this library's rules; other names are optax's own."""

from __future__ import annotations

import typing as _typing

from ._contrib import (
    acprop as acprop,
    ademamix as ademamix,
    cocob as cocob,
    madgrad as madgrad,
    momo as momo,
    momo_adam as momo_adam,
    prodigy as prodigy,
    scale_by_acprop as scale_by_acprop,
    scale_by_ademamix as scale_by_ademamix,
    scale_by_cocob as scale_by_cocob,
    scale_by_madgrad as scale_by_madgrad,
    scale_by_simplified_ademamix as scale_by_simplified_ademamix,
    simplified_ademamix as simplified_ademamix,
)
from ._own import names_of as _names_of
from ._states import (
    COCOBState as COCOBState,
    MadgradState as MadgradState,
    MomoAdamState as MomoAdamState,
    MomoState as MomoState,
    ProdigyState as ProdigyState,
    ScaleByAdemamixState as ScaleByAdemamixState,
    ScaleBySimplifiedAdEMAMixState as ScaleBySimplifiedAdEMAMixState,
)

if not _typing.TYPE_CHECKING:
    __getattr__ = _names_of("contrib")
