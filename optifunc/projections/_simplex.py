"""The simplex."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from .._numerics import Scalar
from .._tree import PyTree
from ._reals import Reals, as_reals, as_size, count, largest, total


def simplex(tree: PyTree, scale: Scalar = 1.0) -> PyTree:
    """The nearest tree with nonnegative numbers and a given sum.

    ::

        P(x) = max(x - threshold, 0)    with the threshold that makes sum(P(x)) = scale

    With the support S of the result, its derivatives are those of ``x[S] - mean(x[S]) +
    scale / size(S)``, and 0 elsewhere. All numbers of the tree are sorted together,
    which gathers those of sharded arrays.

    **Arguments:**

    - ``tree``: a pytree of arrays.
    - ``scale``: the sum of the result, above 0.

    **Returns:** a tree like ``tree``; one without numbers is returned unchanged.

    **Raises:** `ValueError` if ``scale`` is not above 0, `TypeError` for a leaf that is
    not an array of a float or complex dtype.

    **Source:** Held, Wolfe and Crowder, "Validation of subgradient optimization", 1974;
    Duchi et al., "Efficient projections onto the l1-ball for learning in high
    dimensions", 2008.
    """
    reals, restored = as_reals(tree)
    if count(reals) == 0:
        return tree
    return restored(on_simplex(reals, as_size("scale", scale, reals, above=0)))


def on_simplex(reals: Reals, scale: Array) -> Reals:
    """`simplex` of real arrays."""
    # Relative to the largest, so that only numbers of the size of `scale` matter.
    top = lax.stop_gradient(largest(reals))
    shifted = [x - top for x in reals]
    fixed = lax.stop_gradient(shifted)
    threshold = _by_sorting(fixed, lax.stop_gradient(scale))
    # A sum over the support is more precise than one number after the other, and its
    # derivative, with the support held, is that of the projection.
    for _ in range(2):
        support = [x > lax.stop_gradient(threshold) for x in fixed]
        threshold = _threshold(shifted, support, scale)
    rest = jnp.where(jnp.isnan(top), jnp.nan, 0)
    return [
        jnp.where(x > lax.stop_gradient(threshold), x - threshold, rest)
        for x in shifted
    ]


def _threshold(reals: Reals, support: list[Array], scale: Array) -> Array:
    inside = [jnp.where(s, x, 0) for s, x in zip(support, reals, strict=True)]
    size = total([s.astype(scale.dtype) for s in support])
    return (total(inside) - scale) / jnp.maximum(size, 1)


def _by_sorting(reals: Reals, scale: Array) -> Array:
    ordered = -jnp.sort(-jnp.concatenate([x.ravel() for x in reals]))
    size = jnp.arange(1, ordered.size + 1).astype(ordered.dtype)
    thresholds = (jnp.cumsum(ordered) - scale) / size
    last = jnp.sum(ordered > thresholds) - 1
    return thresholds[jnp.maximum(last, 0)]
