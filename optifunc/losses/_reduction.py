"""Reducing the losses of elements or samples."""

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
    """`reduce` for weighted losses; the mean is divided by the sum of the weights."""
    if reduction == "mean":
        return jnp.sum(losses) / jnp.sum(weights)
    return reduce(losses, reduction)
