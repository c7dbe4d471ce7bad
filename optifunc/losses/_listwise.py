"""Losses for the order of a list."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ._arguments import as_floats, check_same_shape
from ._reduction import Reduction, reduce


def ranking_softmax_loss(
    input: ArrayLike,
    target: ArrayLike,
    where: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """The cross-entropy between a list's relevances and the softmax of its scores.

    ::

        loss = -sum(weight * target * log_softmax(input))    over the items of a list

    Items that ``where`` leaves out count in neither. A list without items costs 0 and
    does not count in the mean; the mean over no lists is 0.

    **Arguments:**

    - ``input``: scores, floats of shape (..., items).
    - ``target``: the relevance of each item, at least 0, of the same shape.
    - ``where``: bools of the same shape, False for items that a list does not have; or
      None.
    - ``weight``: a factor for each item, of the same shape, or None.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** an array of shape (...) for ``"none"``, otherwise a scalar; in the
    dtype of ``input``.

    **Raises:** `ValueError` if the shapes differ, ``input`` is a scalar or
    ``reduction`` is unknown; `TypeError` if ``input`` is not of a float dtype or
    ``where`` not of bools.

    **Source:** Cao et al., "Learning to rank: from pairwise approach to listwise
    approach", 2007.
    """
    dtype, (scores, relevance, factor) = as_floats(
        input=input, target=target, weight=weight
    )
    if scores.ndim == 0:
        raise ValueError("input must be of shape (..., items), found a scalar")
    is_item = jnp.ones(scores.shape, bool) if where is None else jnp.asarray(where)
    if is_item.dtype != bool:
        raise TypeError(f"where must be of bools, found {is_item.dtype}")
    check_same_shape(input=scores, target=relevance, weight=factor, where=is_item)
    if factor is not None:
        relevance = relevance * factor
    # Treat a list without items like one with equal scores, whose gradient is finite.
    has_items = jnp.any(is_item, -1)
    is_absent = ~is_item & has_items[..., None]
    scores = jnp.where(is_item, scores, 0)
    log_shares = jax.nn.log_softmax(jnp.where(is_absent, -jnp.inf, scores), -1)
    losses = -jnp.sum(relevance * jnp.where(is_item, log_shares, 0), -1, where=is_item)
    if reduction == "mean":
        count = jnp.sum(has_items).astype(losses.dtype)
        return (jnp.sum(losses) / jnp.maximum(count, 1)).astype(dtype)
    return reduce(losses, reduction).astype(dtype)
