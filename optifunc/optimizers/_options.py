"""Options of an optimizer: states that go with them, and which parameters decay."""

from typing import Any

import jax

from .._transformation import GradientTransformation, identity
from .._tree import PyTree
from ..wrappers._masked import masked
from ..wrappers._selection import check_mask, chosen_values, like


def check_option(
    tx: GradientTransformation, option: str, part: PyTree, other: PyTree
) -> None:
    """Check that a state was made with the same value of a flag as ``tx``.

    **Arguments:**

    - ``option``: the name of the flag.
    - ``part``: the field of the state that is there if the flag is set, else None.
    - ``other``: a field that is there in any case. It, too, is None for parameters that
      are None.

    **Raises:** `ValueError` that names the flag.
    """
    wanted = bool(getattr(tx, option))
    if other is not None and wanted is (part is None):
        raise ValueError(
            f"this state was made by {type(tx).__name__} with {option}={not wanted}, "
            f"and this is one with {option}={wanted}; give the state that its init or "
            "last update returned"
        )


def check_decay_mask(mask: Any, params: PyTree) -> None:
    """Check the mask of a decay inside a step, as of every other decay."""
    if mask is not None:
        masked(identity(), mask).init(params)


def decaying_parameters(mask: Any, params: PyTree) -> PyTree:
    """The parameters that decay inside a step, with None for the others."""
    if mask is None:
        return params
    chosen = chosen_values(mask, params, "mask", check_mask)
    pairs = zip(jax.tree.leaves(params), chosen, strict=True)
    return like(params, [p if keep else None for p, keep in pairs])
