"""Arguments of losses: arrays of one dtype, of the shapes and values documented.

Losses are computed in at least float32 and rounded once, to the dtype of their first
argument: in float16, the square of 256 would overflow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._checks import check_range
from .._numerics import is_number
from .._tree import compute_dtype

_OPTIONAL = ("weight", "pos_weight")


def as_floats(**values: Any) -> tuple[np.dtype[Any], tuple[Any, ...]]:
    """The dtype of the first, and all as arrays of the dtype in which to compute.

    `None`, for omitted weights, stays `None`.

    **Raises:** `TypeError` if the first does not have a float dtype, or another one is
    not real.
    """
    for name, value in values.items():
        if value is None and name not in _OPTIONAL:
            raise TypeError(f"{name} must be an array, found None")
    arrays: dict[str, Any] = {
        k: None if v is None else jnp.asarray(v) for k, v in values.items()
    }
    first = next(iter(arrays.values()))
    for name, array in arrays.items():
        if array is None:
            continue
        if array is first and not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(f"{name} must be of a float dtype, found {array.dtype}")
        if not jnp.isdtype(array.dtype, ("bool", "integral", "real floating")):
            raise TypeError(f"{name} must be of a real dtype, found {array.dtype}")
    dtype = first.dtype
    computed = compute_dtype(dtype)
    return dtype, tuple(a if a is None else a.astype(computed) for a in arrays.values())


def check_same_shape(**arrays: Array | None) -> None:
    """Check that all arguments except None have the shape of the first.

    **Raises:** `ValueError`, naming the first one that does not.
    """
    given = {name: array for name, array in arrays.items() if array is not None}
    (first_name, first), *others = given.items()
    for name, array in others:
        if array.shape != first.shape:
            raise ValueError(
                f"{name} must have the shape of {first_name}, {first.shape}, "
                f"found {array.shape}"
            )


def check_same_rank(**arrays: Array) -> None:
    """Check that all have as many dimensions as the first.

    **Raises:** `ValueError`, naming the first one that does not.
    """
    (first_name, first), *others = arrays.items()
    for name, array in others:
        if array.ndim != first.ndim:
            raise ValueError(
                f"{name} must have as many dimensions as {first_name}, {first.ndim}, "
                f"found shape {array.shape}"
            )


def check_compatible(**arrays: Array) -> None:
    """Check that all have the same rank, and sizes that are equal or 1.

    **Raises:** `ValueError`, naming the first one that does not fit those before it.
    """
    check_same_rank(**arrays)
    shape: tuple[int, ...] = ()
    for name, array in arrays.items():
        try:
            shape = np.broadcast_shapes(shape, array.shape)
        except ValueError:
            raise ValueError(
                f"{name} must be broadcastable with {shape}, found shape {array.shape}"
            ) from None


def broadcast_to(shape: tuple[int, ...], name: str, array: Array) -> Array:
    """``array`` in the given shape.

    **Raises:** `ValueError` if it does not fit.
    """
    try:
        return jnp.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(
            f"{name} must be broadcastable to {shape}, found shape {array.shape}"
        ) from None


def is_traced(*values: Any) -> bool:
    """Whether a number in ``values`` is known only when a compiled program runs."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def check_number(name: str, value: Any, **bounds: float) -> None:
    """Check a hyperparameter of a loss.

    It must be one real number, in the bounds of `check_range` if its value is known.

    **Raises:** `TypeError` if it is not a real number, `ValueError` if it is an array
    of several or out of range.
    """
    if isinstance(value, np.generic | np.ndarray | Array):
        if value.shape != ():
            raise ValueError(
                f"{name} must be a number or a scalar array, found shape {value.shape}"
            )
        if not jnp.isdtype(value.dtype, ("integral", "real floating")):
            raise TypeError(f"{name} must be of a real dtype, found {value.dtype}")
        if is_traced(value):
            return
        value = value.item()
    if not is_number(value):
        raise TypeError(f"{name} must be a number or a scalar array, found {value!r}")
    check_range(name, value, **bounds)


def check_values(
    name: str, value: Any, is_valid: Callable[[Array], Array], expected: str
) -> None:
    """Check each number of an argument, if its values are known, that is, not traced.

    **Raises:** `ValueError`, with the first number that is not valid.
    """
    if is_traced(value):
        return
    # A constant in a traced function is known, too; compare a boolean with a number.
    with jax.ensure_compile_time_eval(), jax.numpy_dtype_promotion("standard"):
        array = jnp.asarray(value)
        valid = is_valid(array)
        if not valid.all():
            found = array.ravel()[jnp.argmin(valid.ravel())]
            raise ValueError(f"{name} must be {expected}, found {found}")
