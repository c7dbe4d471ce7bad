"""Second moments of matrices, kept as means of rows and of columns."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from .._numerics import sqrt
from .._placement import zeros_like, zeros_like_result
from .._tree import PyTree


def zeros_without_axis(params: PyTree, axis: int) -> PyTree:
    """Zeros like the means along an axis of leaves with two or more axes; else None."""

    def zeros(leaf: Any) -> Array | None:
        if jnp.ndim(leaf) < 2:
            return None
        return zeros_like_result(lambda p: jnp.sum(p, axis), leaf)

    return jax.tree.map(zeros, params)


def zeros_like_vectors(params: PyTree) -> PyTree:
    """Zeros like each leaf with fewer than two axes, and None for the others."""
    return zeros_like(jax.tree.map(lambda p: None if jnp.ndim(p) > 1 else p, params))


def factored_rsqrt(row: Array, column: Array) -> Array:
    """The inverse root of each element's estimate from rows and columns."""
    mean = jnp.mean(row, axis=-1, keepdims=True)
    rows = 1 / sqrt(row / mean)
    return rows[..., :, None] * (1 / sqrt(column))[..., None, :]
