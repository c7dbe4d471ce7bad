"""A warning about state that rounding keeps from moving."""

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from ._numerics import is_number
from ._rounding import is_narrow
from ._tree import PyTree, leaf_dtype

if TYPE_CHECKING:
    from ._transformation import GradientTransformation


class StalledStateWarning(UserWarning):
    """State is kept in a dtype in which it stops moving.

    In bfloat16 a change below 1/256 of a number may be rounded away, and an average
    that keeps 0.999 of itself changes by a thousandth. `init` warns once of each field
    of each transformation. The way out is `state_dtype`, or `master_weights` and its
    relatives.
    """


# Where a transformation has how much an average keeps of itself: an attribute, and an
# index into it, by the name of the average's field.
_KEPT: dict[str, tuple[tuple[str, int | None], ...]] = {
    "exp_avg": (("betas", 0),),
    "scale_by_lion.exp_avg": (("betas", 1),),
    "exp_avg_fast": (("betas", 0),),
    "grad_avg": (("betas", 0),),
    "exp_avg_slow": (("betas", 2),),
    "exp_avg_sq": (("betas", 1), ("beta2", None)),
    "scale_by_adan.exp_avg_sq": (("betas", 2),),
    "exp_avg_var": (("betas", 1),),
    "grad_avg_sq": (("betas", 1),),
    "hessian": (("betas", 1),),
    "square_avg": (("alpha", None), ("rho", None)),
    "acc_delta": (("rho", None),),
    "second_momentum_buffer": (("beta2", None),),
    "average": (("decay", None),),
}

# What was warned of, by transformation, field and dtype.
_WARNED: set[tuple[str, str, str]] = set()


def warn_of_stalled_state(tx: "GradientTransformation", state: PyTree) -> None:
    """Warn, once a process and cause, of averages that stop moving in their dtype.

    Only dtypes and known numbers decide, so that tracing changes nothing. To be called
    where a user calls `init`: a wrapper around may choose another dtype.
    """
    if not any(map(is_narrow, jax.tree.leaves(state))):
        return
    for held, part in _with_states(tx, state):
        for name in getattr(part, "_fields", ()):
            kept = _kept(held, name)
            if kept is None:
                continue
            for dtype in {
                leaf_dtype(leaf)
                for leaf in jax.tree.leaves(getattr(part, name))
                if is_narrow(leaf)
            }:
                # Above a power of two this much is half the distance to the next one.
                if 1 - kept < float(jnp.finfo(dtype).eps) / 2:
                    _warn(type(held).__name__, name, str(dtype), kept)


def _with_states(
    tx: "GradientTransformation", state: PyTree
) -> Iterator[tuple["GradientTransformation", Any]]:
    """``tx`` and all transformations inside it, each with its state."""
    yield tx, state
    for child in tx.children():
        yield from _with_states(child.transformation, tx.state_of(child, state))


def _kept(tx: "GradientTransformation", name: str) -> float | None:
    """How much of itself an average keeps; None if that is not known."""
    own = f"{type(tx).__name__}.{name}"
    for attribute, index in _KEPT.get(own, _KEPT.get(name, ())):
        value: Any = getattr(tx, attribute, None)
        if index is not None and isinstance(value, tuple):
            value = value[index] if index < len(value) else None
        if is_number(value):
            return float(value)
    return None


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
