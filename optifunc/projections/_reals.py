"""A tree as a list of real arrays of one dtype, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._checks import check_range
from .._tree import (
    PyTree,
    check_array,
    compute_dtype,
    flatten_like,
    is_sparse,
    leaf_dtype,
    leaves_with_names,
    real_dtype,
)

Reals: TypeAlias = list[Array]


def as_reals(tree: PyTree) -> tuple[Reals, Callable[[Sequence[Array]], PyTree]]:
    """The leaves of ``tree`` as real arrays, and the function that puts them back.

    All have the widest dtype among them, at least float32, and a complex leaf has its
    parts stacked along a new first axis. In the restored tree, each has its own dtype.

    **Raises:** `TypeError` that names a leaf which is not an array, is sparse or is not
    of a float or complex dtype.
    """
    treedef: Any
    leaves, treedef = jax.tree.flatten(tree, is_leaf=is_sparse)
    for name, leaf in leaves_with_names(tree):
        _check_leaf(name, leaf)
    dtypes = [leaf_dtype(leaf) for leaf in leaves]
    dtype = _real_compute_dtype(dtypes)

    def restored(reals: Sequence[Array]) -> PyTree:
        pairs = zip(reals, dtypes, strict=True)
        return treedef.unflatten(_restored(x, d) for x, d in pairs)

    return [_real(jnp.asarray(leaf), dtype) for leaf in leaves], restored


def reals_like(name: str, tree: PyTree, reference: PyTree) -> Reals:
    """``tree`` as real arrays of the dtype and the shapes that ``reference`` has.

    **Raises:** `ValueError` if its structure or a shape differs.
    """
    parts = flatten_like(tree, reference, (name, "the tree"))
    named = [*leaves_with_names(reference)]
    dtype = _real_compute_dtype([leaf_dtype(leaf) for _, leaf in named])
    for (path, leaf), part in zip(named, parts, strict=True):
        if np.shape(part) != np.shape(leaf):
            raise ValueError(
                f"{name} must have the shapes of the tree, found {np.shape(part)} and "
                f"{np.shape(leaf)} at {path!r}"
            )
    reals = []
    for (_, leaf), part in zip(named, parts, strict=True):
        is_pair = jnp.issubdtype(leaf_dtype(leaf), jnp.complexfloating)
        part = jnp.asarray(part)
        if is_pair and not jnp.iscomplexobj(part):
            part = lax.complex(part, jnp.zeros_like(part))
        reals.append(_real(part, dtype))
    return reals


def as_size(name: str, value: Any, reals: Reals, **bounds: float) -> Array:
    """A number that belongs to a set, in the dtype of ``reals``.

    **Raises:** `ValueError` if it is out of range or an array with axes.
    """
    if callable(value):
        raise TypeError(f"{name} must be a number or a scalar array, found {value!r}")
    check_range(name, value, **bounds)
    if np.shape(value) != ():
        raise ValueError(
            f"{name} must be a number or a scalar array, found shape {np.shape(value)}"
        )
    return lax.convert_element_type(value, reals[0].dtype)


def total(terms: Sequence[Array]) -> Array:
    """The sum of all numbers of all arrays; there is at least one array."""
    sums = [jnp.sum(term) for term in terms]
    return sum(sums[1:], start=sums[0])


def largest(reals: Reals) -> Array:
    """The largest number of all; minus infinity if there is none."""
    tops = [jnp.max(x, initial=-jnp.inf) for x in reals]
    return jnp.max(jnp.stack(tops))


def count(reals: Reals) -> int:
    """How many numbers there are."""
    return sum(x.size for x in reals)


def product(x: Reals, y: Reals) -> Array:
    """The inner product."""
    return total([a * b for a, b in zip(x, y, strict=True)])


def _check_leaf(name: str, leaf: Any) -> None:
    if is_sparse(leaf):
        raise TypeError(
            f"projections take dense arrays, found a sparse one at {name!r}"
        )
    check_array(name, leaf)
    if not jnp.issubdtype(leaf_dtype(leaf), jnp.inexact):
        raise TypeError(
            f"projections take arrays of float or complex dtypes, found "
            f"{leaf_dtype(leaf)} at {name!r}"
        )


def _real_compute_dtype(dtypes: Sequence[Any]) -> Any:
    return compute_dtype(*(real_dtype(d) for d in dtypes))


def _real(x: Array, dtype: Any) -> Array:
    if jnp.iscomplexobj(x):
        x = jnp.stack([x.real, x.imag])
    return lax.convert_element_type(x, dtype)


def _restored(x: Array, dtype: Any) -> Array:
    if jnp.issubdtype(dtype, jnp.complexfloating):
        x = lax.convert_element_type(x, real_dtype(dtype))
        return lax.complex(x[0], x[1])
    return lax.convert_element_type(x, dtype)
