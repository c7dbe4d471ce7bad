"""Hyperplanes, half-spaces and lines."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from .._numerics import Scalar
from .._tree import PyTree
from ._reals import Reals, as_reals, as_size, count, product, reals_like


def hyperplane(tree: PyTree, a: PyTree, b: Scalar) -> PyTree:
    """The nearest tree ``y`` with ``<y, a> = b``: ``x + a * (b - <x, a>) / <a, a>``.

    **Arguments:**

    - ``tree``: a pytree of arrays.
    - ``a``: the normal, a tree like ``tree``; if it is all 0, the result is NaN.
    - ``b``: a number.

    **Returns:** a tree like ``tree``.

    **Raises:** `ValueError` if structure or shapes of ``a`` differ from those of
    ``tree``, `TypeError` for a leaf that is not an array of a float or complex dtype.
    """
    reals, restored = as_reals(tree)
    normal = reals_like("a", a, tree)
    if count(reals) == 0:
        return tree
    distance = as_size("b", b, reals) - product(reals, normal)
    return restored(_moved(reals, normal, distance / product(normal, normal)))


def halfspace(tree: PyTree, a: PyTree, b: Scalar) -> PyTree:
    """The nearest tree ``y`` with ``<y, a> <= b``.

    It is ``x`` itself where that holds, and on the `hyperplane` otherwise.

    **Arguments:**

    - ``tree``, ``a``, ``b``: see `hyperplane`.

    **Returns, raises:** see `hyperplane`.
    """
    reals, restored = as_reals(tree)
    normal = reals_like("a", a, tree)
    if count(reals) == 0:
        return tree
    distance = as_size("b", b, reals) - product(reals, normal)
    share = jnp.where(distance < 0, distance / product(normal, normal), 0)
    return restored(_moved(reals, normal, share))


def vector(tree: PyTree, a: PyTree) -> PyTree:
    """The nearest multiple of a tree: ``a * <x, a> / <a, a>``.

    **Arguments:**

    - ``tree``: a pytree of arrays.
    - ``a``: a tree like ``tree``; if it is all 0, the result is NaN.

    **Returns, raises:** see `hyperplane`.
    """
    reals, restored = as_reals(tree)
    normal = reals_like("a", a, tree)
    if count(reals) == 0:
        return tree
    share = product(reals, normal) / product(normal, normal)
    return restored([share * n for n in normal])


def _moved(reals: Reals, normal: Reals, share: Array) -> Reals:
    return [x + share * n for x, n in zip(reals, normal, strict=True)]
