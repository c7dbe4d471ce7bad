"""Functions with a kink, at which their derivative is torch's."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array

from .._numerics import Scalar

# Keeps torch from dividing by 0: a float32 constant, for float64 numbers, too.
EPSILON = float(np.float32(1e-12))


def positive_part(x: Array) -> Array:
    """``max(x, 0)``, with derivative 1 at 0, where that of `jnp.maximum` is 1/2."""
    return jnp.where(x < 0, jnp.zeros_like(x), x)


def magnitude(x: Array) -> Array:
    """``abs(x)``, with derivative 0 at 0, where that of `jnp.abs` is 1."""
    return x * jnp.sign(x)


def power(x: Array, exponent: Scalar) -> Array:
    """``x**exponent`` for ``x >= 0``, with derivative 0 at 0."""
    is_zero = x == 0
    return jnp.where(is_zero, 0, jnp.where(is_zero, 1, x) ** exponent)
