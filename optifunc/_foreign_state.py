"""The error for a state that belongs to another transformation."""

from __future__ import annotations

from typing import Any

from ._tree import PyTree


def foreign_state(tx: object, expected: str, found: PyTree) -> ValueError:
    """An error that says which state ``tx`` has and which one was passed."""
    way_out = "give the state that its init or last update returned"
    if _holds_optax_state(found):
        expected = f"{expected} of optifunc"
        way_out = (
            'from_optax_state converts a state of optax: see the page "From optax" of '
            "the documentation"
        )
    return ValueError(
        f"this state is not one of {type(tx).__name__}: expected {expected}, found "
        f"{_described(found)}; {way_out}"
    )


def _described(state: Any) -> str:
    if isinstance(state, dict):
        return f"a dict of {sorted(state)}"
    if hasattr(state, "_fields") or not isinstance(state, tuple | list):
        library = " of optax" if _is_optax_state(state) else ""
        return f"a {type(state).__name__}{library}"
    members = ", ".join(map(_described, state)) if _holds_optax_state(state) else ""
    return f"a {type(state).__name__} of {len(state)}" + (members and f" ({members})")


def _is_optax_state(state: Any) -> bool:
    return type(state).__module__.partition(".")[0] == "optax"


def _holds_optax_state(state: Any) -> bool:
    """Whether ``state`` is one of optax, or a tuple or dict that holds one."""
    if isinstance(state, dict):
        return any(map(_holds_optax_state, state.values()))
    is_plain = type(state) in (tuple, list)
    return any(map(_holds_optax_state, state)) if is_plain else _is_optax_state(state)
