"""From the loss of each element or sample to what is asked for."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
from jax import Array

from .._checks import check_choice

Reduction: TypeAlias = Literal["none", "mean", "sum"]


def reduce(losses: Array, reduction: Reduction) -> Array:
    """``losses`` themselves, their mean or their sum.

    **Raises:** `ValueError` for another reduction.
    """
    check_choice("reduction", reduction, ("none", "mean", "sum"))
    reducers: dict[Any, Any] = {"mean": jnp.mean, "sum": jnp.sum}
    return losses if reduction == "none" else reducers[reduction](losses)


def reduce_weighted(losses: Array, weights: Array, reduction: Reduction) -> Array:
    """`reduce` of losses that have their weights; the mean is over the sum of these."""
    if reduction == "mean":
        return jnp.sum(losses) / jnp.sum(weights)
    return reduce(losses, reduction)
