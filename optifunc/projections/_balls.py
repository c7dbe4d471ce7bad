"""Balls and spheres around 0."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import Array, lax

from .._numerics import Scalar
from .._tree import PyTree
from ._bounds import clipped
from ._reals import Reals, as_reals, as_size, count, largest, total
from ._simplex import on_simplex


def l1_ball(tree: PyTree, scale: Scalar = 1.0) -> PyTree:
    """The nearest tree whose absolute values sum to at most ``scale``.

    ::

        P(x) = x                               if sum(abs(x)) <= scale
             = sign(x) * simplex(abs(x))       otherwise

    **Arguments:**

    - ``tree``: a pytree of arrays.
    - ``scale``: the radius, at least 0.

    **Returns:** a tree like ``tree``.

    **Raises:** `ValueError` if ``scale`` is negative, `TypeError` for a leaf that is
    not an array of a float or complex dtype.

    **Source:** Duchi et al., "Efficient projections onto the l1-ball for learning in
    high dimensions", 2008.
    """
    reals, restored = as_reals(tree)
    if count(reals) == 0:
        return tree
    radius = as_size("scale", scale, reals, at_least=0)
    # `sign` is constant: the derivative of an absolute value at 0 is the right one.
    is_inside = total([jnp.abs(x) for x in lax.stop_gradient(reals)]) <= radius
    surface = _on_l1_sphere(reals, radius)
    pairs = zip(reals, surface, strict=True)
    return restored([jnp.where(is_inside, x, y) for x, y in pairs])


def l1_sphere(tree: PyTree, scale: Scalar = 1.0) -> PyTree:
    """The nearest tree whose absolute values sum to ``scale``.

    ``P(x) = sign(x) * simplex(abs(x))``, where the sign of 0 is 1: a 0 inside the
    sphere moves away from 0, and both directions are equally far.

    **Arguments:**

    - ``tree``: a pytree of arrays.
    - ``scale``: the radius, above 0.

    **Returns:** a tree like ``tree``; one without numbers is returned unchanged.

    **Raises:** `ValueError` if ``scale`` is not above 0, `TypeError` for a leaf that is
    not an array of a float or complex dtype.
    """
    reals, restored = as_reals(tree)
    if count(reals) == 0:
        return tree
    return restored(_on_l1_sphere(reals, as_size("scale", scale, reals, above=0)))


def l2_ball(tree: PyTree, scale: Scalar = 1.0) -> PyTree:
    """The nearest tree whose Euclidean norm is at most ``scale``.

    ``P(x) = x * min(1, scale / norm(x))``.

    **Arguments:**

    - ``tree``: a pytree of arrays.
    - ``scale``: the radius, at least 0.

    **Returns:** a tree like ``tree``.

    **Raises:** `ValueError` if ``scale`` is negative, `TypeError` for a leaf that is
    not an array of a float or complex dtype.
    """
    reals, restored = as_reals(tree)
    if count(reals) == 0:
        return tree
    radius = as_size("scale", scale, reals, at_least=0)
    unit, norm = _unit_and_norm(reals)
    is_inside = norm <= radius
    pairs = zip(reals, unit, strict=True)
    return restored([jnp.where(is_inside, x, radius * u) for x, u in pairs])


def l2_sphere(tree: PyTree, scale: Scalar = 1.0) -> PyTree:
    """The nearest tree whose Euclidean norm is ``scale``: ``x * scale / norm(x)``.

    From 0, all points of the sphere are equally far. There, the result has equal
    numbers and a derivative of 0.

    **Arguments:**

    - ``tree``: a pytree of arrays.
    - ``scale``: the radius, above 0.

    **Returns:** a tree like ``tree``; one without numbers is returned unchanged.

    **Raises:** `ValueError` if ``scale`` is not above 0, `TypeError` for a leaf that is
    not an array of a float or complex dtype.
    """
    reals, restored = as_reals(tree)
    if count(reals) == 0:
        return tree
    radius = as_size("scale", scale, reals, above=0)
    unit, _ = _unit_and_norm(reals)
    return restored([radius * u for u in unit])


def linf_ball(tree: PyTree, scale: Scalar = 1.0) -> PyTree:
    """The nearest tree with absolute values of at most ``scale``.

    Each number is clipped to ``[-scale, scale]``.

    **Arguments:**

    - ``tree``: a pytree of arrays.
    - ``scale``: the radius, at least 0.

    **Returns:** a tree like ``tree``.

    **Raises:** `ValueError` if ``scale`` is negative, `TypeError` for a leaf that is
    not an array of a float or complex dtype.
    """
    reals, restored = as_reals(tree)
    if count(reals) == 0:
        return tree
    radius = as_size("scale", scale, reals, at_least=0)
    return restored([clipped(x, -radius, radius) for x in reals])


def linf_sphere(tree: PyTree, scale: Scalar = 1.0) -> PyTree:
    """The nearest tree whose largest absolute value is ``scale``.

    Outside the sphere, it is that of `linf_ball`. Inside, the number with the largest
    absolute value (the first, if there are several) moves to ``scale`` or ``-scale``,
    whichever is nearer, and the others do not change.

    **Arguments:**

    - ``tree``: a pytree of arrays.
    - ``scale``: the radius, above 0.

    **Returns:** a tree like ``tree``; one without numbers is returned unchanged.

    **Raises:** `ValueError` if ``scale`` is not above 0, `TypeError` for a leaf that is
    not an array of a float or complex dtype.
    """
    reals, restored = as_reals(tree)
    if count(reals) == 0:
        return tree
    radius = as_size("scale", scale, reals, above=0)
    top = largest([jnp.abs(x) for x in reals])
    is_found = top >= radius
    moved = []
    for x in reals:
        is_top = (jnp.abs(x) == top).ravel()
        is_first = is_top & (jnp.cumsum(is_top) == 1) & ~is_found
        face = _sign_or_one(x) * radius
        inside = jnp.where(is_first.reshape(x.shape), face, clipped(x, -radius, radius))
        moved.append(inside)
        is_found = is_found | jnp.any(is_top)
    return restored(moved)


def _on_l1_sphere(reals: Reals, radius: Array) -> Reals:
    signs = [_sign_or_one(x) for x in reals]
    sizes = on_simplex([s * x for s, x in zip(signs, reals, strict=True)], radius)
    return [s * size for s, size in zip(signs, sizes, strict=True)]


def _sign_or_one(x: Array) -> Array:
    """1 or -1; 1 at 0."""
    return jnp.where(x < 0, -jnp.ones_like(x), jnp.ones_like(x))


def _unit_and_norm(reals: Reals) -> tuple[Reals, Array]:
    """The unit vector in the direction of ``reals``, and their norm.

    It divides by the largest absolute value first, so that no square overflows or
    vanishes.
    """
    top = lax.stop_gradient(largest([jnp.abs(x) for x in reals]))
    is_zero = top == 0
    scaled = [x / jnp.where(is_zero, 1, top) for x in reals]
    root = jnp.sqrt(jnp.where(is_zero, 1, total([x * x for x in scaled])))
    equal = 1 / math.sqrt(count(reals))
    unit = [jnp.where(is_zero, equal, x / root) for x in scaled]
    return unit, top * root
