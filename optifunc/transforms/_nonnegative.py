"""Parameters that stay at 0 or above."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from .._leafwise import elementwise
from .._transformation import Stateless, require_params, transformation
from .._tree import PyTree


@elementwise(inline=True)
def _kept_nonnegative(updates: Array, params: Array) -> Array:
    # 0 - p and not -p: a parameter of 0 gets an update of +0.
    return jnp.where(params + updates < 0, 0 - params, updates)


@transformation
class keep_params_nonnegative(Stateless):
    """Keep the parameters at 0 or above: ``u = -p`` where ``p + g < 0``, else ``g``.

    It must be the last member of a chain, after the learning rate. Parameters that
    start below 0 go to 0 in the first update. Both parts of complex parameters stay
    nonnegative.

    **State:** ``()``.

    **Raises:** `ValueError` at `update` if ``params`` is missing.
    """

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        params = require_params(params, updates, "keep_params_nonnegative")
        return _kept_nonnegative(updates, params)
