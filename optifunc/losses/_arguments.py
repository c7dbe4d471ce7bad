"""Arguments of losses: arrays of one float dtype, with the shapes and values documented.

Losses are computed in float32 at least and rounded once, to the dtype of their first
argument: in float16 the square of 256 would overflow.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._tree import compute_dtype


def as_floats(**values: Any) -> tuple[np.dtype[Any], tuple[Array, ...]]:
    """The dtype of the first, and all in the dtype in which a loss is computed.

    **Raises:** `TypeError` if the first is not of a floating dtype, or another one not
    of real numbers.
    """
    arrays = {name: jnp.asarray(value) for name, value in values.items()}
    (first_name, first), *others = arrays.items()
    if not jnp.issubdtype(first.dtype, jnp.floating):
        raise TypeError(
            f"{first_name} must be of a floating dtype, found {first.dtype}"
        )
    for name, array in others:
        if not jnp.isdtype(array.dtype, ("bool", "integral", "real floating")):
            raise TypeError(f"{name} must be of a real dtype, found {array.dtype}")
    computed = compute_dtype(first.dtype)
    return first.dtype, tuple(array.astype(computed) for array in arrays.values())


def check_same_shape(**arrays: Array) -> None:
    """Check that all have the shape of the first.

    **Raises:** `ValueError`, naming the first one that has not.
    """
    (first_name, first), *others = arrays.items()
    for name, array in others:
        if array.shape != first.shape:
            raise ValueError(
                f"{name} must have the shape of {first_name}, {first.shape}, "
                f"found {array.shape}"
            )


def broadcast(**arrays: Array) -> list[Array]:
    """All in the shape that they have in common, by the rules of NumPy.

    **Raises:** `ValueError`, naming the first one that does not fit those before it.
    """
    shape: tuple[int, ...] = ()
    for name, array in arrays.items():
        try:
            shape = np.broadcast_shapes(shape, array.shape)
        except ValueError:
            raise ValueError(
                f"{name} must be broadcastable with {shape}, found {array.shape}"
            ) from None
    return [jnp.broadcast_to(array, shape) for array in arrays.values()]


def broadcast_to(shape: tuple[int, ...], **arrays: Array) -> list[Array]:
    """All in the given shape.

    **Raises:** `ValueError`, naming the first one that does not fit.
    """
    for name, array in arrays.items():
        try:
            fits = np.broadcast_shapes(shape, array.shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"{name} must be broadcastable to {shape}, found {array.shape}"
            )
    return [jnp.broadcast_to(array, shape) for array in arrays.values()]


def check_values(
    name: str, value: Any, is_valid: Callable[[Array], Array], expected: str
) -> None:
    """Check each number of an argument, if they can be seen: if it is not traced.

    **Raises:** `ValueError`, with the first number that is not valid.
    """
    if isinstance(value, jax.core.Tracer):
        return
    with jax.ensure_compile_time_eval():  # a constant in a traced function is seen too
        array = jnp.asarray(value)
        valid = is_valid(array)
        if not valid.all():
            found = array.ravel()[jnp.argmin(valid.ravel())]
            raise ValueError(f"{name} must be {expected}, found {found}")
