"""Gradients that are not a number."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from .._leafwise import elementwise
from .._transformation import Stateless, transformation
from .._tree import PyTree


@elementwise(inline=True)
def _without_nans(updates: Array) -> Array:
    return jnp.where(jnp.isnan(updates), 0, updates)


@transformation
class zero_nans(Stateless):
    """Replace NaN by 0: ``u = 0`` where ``g`` is NaN, ``g`` elsewhere.

    Infinite elements do not change. Both parts of a complex element are treated
    separately.

    **State:** ``()``.
    """

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        return _without_nans(updates)
