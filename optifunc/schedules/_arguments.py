"""Arguments of schedules: numbers and counts, checked where a user gives them.

A count (of steps, of cycles) is an integer throughout and never becomes a float
before its last use: which phase a step belongs to is then exact.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._checks import check_integer, check_range
from .._numerics import is_number

Count: TypeAlias = int | Array


def check_number(name: str, value: Any, **bounds: float) -> None:
    """`check_range`, for a number that cannot itself be a schedule."""
    if callable(value):
        raise TypeError(f"{name} must be a number or an array, found {value!r}")
    check_range(name, value, **bounds)


def check_count(name: str, value: Any, *, at_least: int) -> None:
    """Check a count; of an array or a traced value only that it has an integer dtype.

    **Raises:** `TypeError` if it is no integer, `ValueError` if it is too small.
    """
    if is_number(value) or not hasattr(value, "dtype"):
        check_integer(name, value, at_least=at_least)
    elif not jnp.issubdtype(value.dtype, jnp.integer):
        raise TypeError(f"{name} must be an integer, found an array of {value.dtype}")


def as_members(name: str, values: Any) -> Any:
    """Several arguments given together, as a tuple; an array of them as it is.

    **Raises:** `TypeError` for what is neither a sequence nor an array of one axis.
    """
    if hasattr(values, "dtype") and np.ndim(values) == 1:
        return values
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(
            f"{name} must be a sequence or an array of one axis, found {values!r}"
        )
    return tuple(values)


def check_milestones(name: str, values: Any, *, increasing: bool) -> None:
    """Check counts of updates at which something happens."""
    if hasattr(values, "dtype"):
        check_count(name, values, at_least=0)
        return
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
