"""Bounds for each number separately."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._checks import check_range
from .._numerics import is_number
from .._tree import PyTree, flatten_like, is_array, leaves_with_names
from ._reals import as_reals


def non_negative(tree: PyTree) -> PyTree:
    """The nearest tree without negative numbers: ``max(x, 0)``.

    **Arguments:**

    - ``tree``: a pytree of arrays.

    **Returns:** a tree like ``tree``.

    **Raises:** `TypeError` for a leaf that is not an array of a float or complex dtype.
    """
    reals, restored = as_reals(tree)
    return restored([jnp.where(x < 0, 0, x) for x in reals])


def box(tree: PyTree, lower: PyTree = None, upper: PyTree = None) -> PyTree:
    """The nearest tree between two bounds: each number is clipped to its interval.

    ::

        P(x) = lower    where x < lower
             = upper    where x > upper
             = x        elsewhere

    **Arguments:**

    - ``tree``: a pytree of arrays.
    - ``lower``, ``upper``: a number for all, or a tree like ``tree`` of numbers and of
      arrays that broadcast to its leaves; None, for all or for a leaf: no bound. Where
      arrays cross, the result is ``upper``.

    **Returns:** a tree like ``tree``.

    **Raises:** `ValueError` if a bound does not fit the tree, or a number ``lower`` is
    above a number ``upper``; `TypeError` for a leaf that is not an array of a float or
    complex dtype.
    """
    reals, restored = as_reals(tree)
    lowers, uppers = _of_leaves("lower", lower, tree), _of_leaves("upper", upper, tree)
    found = []
    for x, leaf, name, low, high in zip(
        reals,
        jax.tree.leaves(tree),
        [name for name, _ in leaves_with_names(tree)],
        lowers,
        uppers,
        strict=True,
    ):
        if is_number(low) and is_number(high) and low > high:
            raise ValueError(
                f"lower must be at most upper, found {low!r} and {high!r} at {name!r}"
            )
        bounds = _bound_like("lower", low, leaf, x), _bound_like("upper", high, leaf, x)
        found.append(clipped(x, *bounds))
    return restored(found)


def hypercube(tree: PyTree, scale: PyTree = 1.0) -> PyTree:
    """The nearest tree whose numbers are in ``[0, scale]``.

    **Arguments:**

    - ``tree``: a pytree of arrays.
    - ``scale``: the length of the edges, at least 0: a number for all, or a tree, as
      `box` takes ``upper``.

    **Returns, raises:** see `box`.
    """
    for part in jax.tree.leaves(scale):
        check_range("scale", part, at_least=0)
    return box(tree, 0.0, scale)


def clipped(x: Array, lower: Array | None, upper: Array | None) -> Array:
    """``x`` between two bounds, with derivative 1 in ``x`` at a bound."""
    if lower is not None:
        x = jnp.where(x < lower, lower, x)
    if upper is not None:
        x = jnp.where(x > upper, upper, x)
    return x


def _of_leaves(name: str, bound: PyTree, tree: PyTree) -> list[Any]:
    """The bound of each leaf: a number, an array or None."""
    if bound is None or (is_array(bound) and np.ndim(bound) == 0):
        return [bound] * len(jax.tree.leaves(tree))
    return flatten_like(bound, tree, (name, "the tree"))


def _bound_like(name: str, bound: Any, leaf: Any, x: Array) -> Array | None:
    """A leaf's bound in the form of ``x``, which is the leaf as real numbers."""
    if bound is None:
        return None
    array = jnp.asarray(bound)
    try:
        array = jnp.broadcast_to(array, np.shape(leaf))
    except ValueError:
        raise ValueError(
            f"{name} must broadcast to its leaf, of shape {np.shape(leaf)}, found "
            f"shape {array.shape}"
        ) from None
    if jnp.iscomplexobj(array):
        array = jnp.stack([array.real, array.imag])
    return jnp.broadcast_to(lax.convert_element_type(array, x.dtype), x.shape)
