"""The logarithm of ``1 + exp(x)``, which the losses of logits share."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax


@jax.custom_jvp
def softplus(x: Array) -> Array:
    """``log(1 + exp(x))`` without overflow, which is ``-log(sigmoid(-x))``."""
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@softplus.defjvp
def _softplus_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # JAX's own slope, `exp(x - softplus(x))`, is off by 1e-6 in float32 near x = 15.
    return softplus(primals[0]), lax.logistic(primals[0]) * tangents[0]
