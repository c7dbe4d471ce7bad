"""Arguments of schedules: numbers and counts, checked when a user passes them.

A count (of steps or cycles) stays an integer until its last use, so the phase that a
step belongs to is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._checks import check_integer, check_range
from .._numerics import is_number

Count: TypeAlias = int | Array


def concrete(value: Any) -> np.ndarray | None:
    """The elements of an array, or None if they are not known yet."""
    if isinstance(value, jax.core.Tracer):
        return None
    if isinstance(value, Array) and not (
        value.is_fully_addressable or value.is_fully_replicated
    ):
        return None  # other processes hold a part of it
    is_array = isinstance(value, Array | np.ndarray | np.generic)
    return np.asarray(jax.device_get(value)) if is_array else None


def check_number(name: str, value: Any, **bounds: float) -> None:
    """`check_range`, for a number that cannot itself be a schedule."""
    if callable(value):
        raise TypeError(f"{name} must be a number or an array, found {value!r}")
    check_range(name, value, **bounds)


def check_factor(name: str, value: Any, *, instead: str, **bounds: float) -> None:
    """`check_number` for a multiple of ``base``, where users expect a value or a count.

    **Arguments:** ``instead``: what the user may have meant to write.
    """
    try:
        check_number(name, value, **bounds)
    except ValueError as error:
        raise ValueError(f"{error}. It is a multiple of base; {instead}") from None


def check_count(name: str, value: Any, *, at_least: int) -> None:
    """Check a count; for a traced value, only that it has an integer dtype.

    **Raises:** `TypeError` if it is not an integer, `ValueError` if it is too small.
    """
    if is_number(value) or not hasattr(value, "dtype"):
        check_integer(name, value, at_least=at_least)
    elif not jnp.issubdtype(value.dtype, jnp.integer):
        raise TypeError(f"{name} must be an integer, found an array of {value.dtype}")
    elif (known := concrete(value)) is not None and np.any(known < at_least):
        raise ValueError(f"{name} must be at least {at_least}, found {known.tolist()}")


def check_flag(name: str, value: Any) -> None:
    """Check that a flag is True or False, not just truthy or falsy."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, found {value!r}")


def as_members(name: str, values: Any) -> Any:
    """Several arguments passed together, as a tuple; an array is unchanged.

    **Raises:** `TypeError` for anything but a sequence or an array with one axis.
    """
    if hasattr(values, "dtype") and np.ndim(values) == 1:
        return values
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(
            f"{name} must be a sequence or an array with one axis, found {values!r}"
        )
    return tuple(values)


def check_milestones(name: str, values: Any, *, increasing: bool) -> None:
    """Check counts of updates at which something happens."""
    if hasattr(values, "dtype"):
        check_count(name, values, at_least=0)
        array = concrete(values)
        known = [] if array is None else array.tolist()
    else:
        for i, value in enumerate(values):
            check_count(f"{name}[{i}]", value, at_least=0)
        known = [value for value in values if is_number(value)]
    if increasing and known != sorted(known):
        raise ValueError(f"{name} must be in increasing order, found {values!r}")


def as_count(value: Any) -> Array:
    """``value`` as an integer array of JAX's default width."""
    return lax.convert_element_type(value, jnp.result_type(int))


def as_counts(values: Any) -> Array:
    """Several counts, or an array of them, as one integer array."""
    if hasattr(values, "dtype"):
        return as_count(values)
    if not values:
        return jnp.zeros((0,), jnp.result_type(int))
    return jnp.stack([as_count(value) for value in values])
