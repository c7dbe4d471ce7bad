"""Weight decay inside a step, for some of the parameters.

If the decay is a member of the chain, `assemble` masks it. These are for rules that
contain it, because they scale it by what they compute.
"""

from __future__ import annotations

from typing import Any

import jax

from .._transformation import identity
from .._tree import PyTree
from ..wrappers._masked import masked
from ..wrappers._selection import (
    Mask,
    check_mask,
    chosen_values,
    like,
    static_choice,
)


def static_mask(mask: Mask | None) -> Any:
    """The user's mask, in a form that can be a static field."""
    return None if mask is None else static_choice(mask, check_mask)


def check_mask_fits(mask: Any, params: PyTree) -> None:
    """Check the mask, as `masked` does for every other optimizer."""
    if mask is not None:
        masked(identity(), mask).init(params)


def decaying(params: PyTree, mask: Any) -> PyTree:
    """The parameters that decay, with None for the others."""
    if mask is None:
        return params
    chosen = chosen_values(mask, params, "mask", check_mask)
    pairs = zip(jax.tree.leaves(params), chosen, strict=True)
    return like(params, [p if keep else None for p, keep in pairs])
