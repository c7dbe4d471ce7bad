"""What optimizers with D-Adaptation share: the estimate, and steps from a start."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from .._leafwise import elementwise
from .._numerics import as_scalar, sqrt


def raised_estimate(
    d: Array, numerator: Array, denominator: Array, growth_rate: Any
) -> Array:
    """The next ``d``; the old one if there has been no gradient.

    The quotient bounds the distance to a minimum from below; the largest one counts.
    """
    known = denominator > 0
    estimate = numerator / jnp.where(known, denominator, 1)
    estimate = jnp.minimum(estimate, d * as_scalar(growth_rate))
    return jnp.where(known, jnp.maximum(d, estimate), d)


@elementwise()
def divided_by_root(x: Array, square: Array, *, eps: Array) -> Array:
    """``x / (sqrt(square) + eps)``, in the dtype of ``x``."""
    return x / (sqrt(square) + eps)


@elementwise()
def step_from_start(
    updates: Array, way: Array, p0: Array, params: Array, *, share: Array
) -> Array:
    """A fraction of the update from ``params`` to ``p0 - way``."""
    return share * ((p0 - params) - way)
