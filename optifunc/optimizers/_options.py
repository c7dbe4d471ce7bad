"""States of the same type that belong to different options of an optimizer."""

from __future__ import annotations

from .._transformation import GradientTransformation
from .._tree import PyTree


def check_option(
    tx: GradientTransformation, option: str, part: PyTree, other: PyTree
) -> None:
    """Check that a state was made with the same value of a flag as ``tx``.

    **Arguments:**

    - ``option``: the name of the flag.
    - ``part``: the field of the state that exists if the flag is set, else None.
    - ``other``: a field that always exists. It is also None for parameters that are
      None.

    **Raises:** `ValueError` that names the flag.
    """
    wanted = bool(getattr(tx, option))
    if other is not None and wanted is (part is None):
        raise ValueError(
            f"this state was made by {type(tx).__name__} with {option}={not wanted}, "
            f"and this is one with {option}={wanted}; give the state that its init or "
            "last update returned"
        )
