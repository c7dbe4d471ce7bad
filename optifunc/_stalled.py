"""A warning about state that cannot move because of rounding."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from ._numerics import is_number
from ._quantization import is_quantized
from ._rounding import is_narrow
from ._state import Keeps, declared_averages
from ._tree import PyTree, leaf_dtype

if TYPE_CHECKING:
    from ._transformation import GradientTransformation


class StalledStateWarning(UserWarning):
    """State is kept in a dtype in which it stops moving.

    In bfloat16, a change below 1/256 of a number may be rounded away, but an average
    with a decay rate of 0.999 changes by a thousandth. `init` warns once about each
    field of each transformation. To fix it, use `state_dtype`, or `master_weights` or a
    similar wrapper.
    """


# Warnings already given, by transformation, field and dtype.
_WARNED: set[tuple[str, str, str]] = set()


def warn_of_stalled_state(tx: GradientTransformation, state: PyTree) -> None:
    """Warn about averages that stop moving in their dtype, once per process and cause.

    This depends only on dtypes and known numbers, so tracing changes nothing. Call it
    when a user calls `init`, because an outer wrapper may choose another dtype.
    """
    if not any(map(is_narrow, _plain_leaves(state))):
        return
    for held, part in _with_states(tx, state):
        kind: Any = type(part)
        for name, keeps in declared_averages(kind).items():
            kept = _kept(held, keeps)
            if kept is None:
                continue
            for dtype in {
                leaf_dtype(leaf)
                for leaf in _plain_leaves(getattr(part, name))
                if is_narrow(leaf)
            }:
                # Just above a power of two, this is half the distance to the next
                # number.
                if 1 - kept < float(jnp.finfo(dtype).eps) / 2:
                    _warn(type(held).__name__, name, str(dtype), kept)


def _plain_leaves(state: PyTree) -> list[Any]:
    """The leaves that are not codes, whose meaning is not that of their dtype."""
    leaves = jax.tree.leaves(state, is_leaf=is_quantized)
    return [leaf for leaf in leaves if not is_quantized(leaf)]


def _with_states(
    tx: GradientTransformation, state: PyTree
) -> Iterator[tuple[GradientTransformation, Any]]:
    """``tx`` and all transformations inside it, each with its state."""
    yield tx, state
    for child in tx.children():
        yield from _with_states(child.transformation, tx.state_of(child, state))


def _kept(tx: GradientTransformation, keeps: Keeps) -> float | None:
    """The decay rate of an average; None if it is not known."""
    value: Any = getattr(tx, keeps.attribute, None)
    if keeps.index is not None and isinstance(value, tuple):
        value = value[keeps.index] if keeps.index < len(value) else None
    return float(value) if is_number(value) else None


def _warn(owner: str, name: str, dtype: str, kept: float) -> None:
    if (owner, name, dtype) in _WARNED:
        return
    _WARNED.add((owner, name, dtype))
    warnings.warn(
        f"{name} of {owner} is in {dtype}, where an average that keeps {kept:g} of "
        "itself stops moving: its changes are rounded away. Keep it in float32 with "
        f"state_dtype(tx, {{{name!r}: jnp.float32}}), or the parameters too with "
        "master_weights(tx)",
        StalledStateWarning,
        # where the user calls `init`
        stacklevel=4,
    )
