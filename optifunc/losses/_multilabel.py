"""Losses for several classes at once."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from ._arguments import as_floats, broadcast_to, check_same_shape, check_values
from ._labels import as_integers, check_scores, in_range, nan_unless
from ._reduction import Reduction, reduce
from ._softplus import softplus


def multilabel_margin_loss(
    input: ArrayLike, target: ArrayLike, reduction: Reduction = "mean"
) -> Array:
    """The hinge loss of each target class against each other class.

    ::

        loss = 1 / C * sum_{t a target} sum_{c no target} max(0, 1 - x[t] + x[c])

    **Arguments:**

    - ``input``: floating-point scores x of shape (C,) or (N, C).
    - ``target``: integers with the shape of ``input``: a sample's classes, each in [0,
      C), then -1; numbers after the first -1 are not used, but must also be in [-1, C).
      A class that is listed twice counts twice.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** for ``"none"`` a loss for each sample, otherwise their mean or sum, in
    the dtype of ``input``. At a kink, the gradient is that of the flat side, 0.

    **Raises:** `TypeError` for other dtypes; `ValueError` for other shapes, a label out
    of range or an unknown ``reduction``. Under `jit`, where labels cannot be checked,
    one out of range makes the loss and its gradient NaN.
    """
    dtype, (scores,) = as_floats(input=input)
    check_scores("input", scores)
    labels = as_integers("target", target)
    check_same_shape(input=scores, target=labels)
    classes = scores.shape[-1]

    def is_label(target: Array) -> Array:
        return in_range(target, classes) | (target == -1)

    check_values("target", labels, is_label, f"in [-1, {classes})")
    axis = scores.ndim - 1
    is_listed = lax.cummin(labels, axis) >= 0  # nothing negative up to here

    def is_class(labels: Array, is_listed: Array) -> Array:
        """Which class the label of each sample is, if it is listed."""
        label = lax.broadcasted_iota(labels.dtype, scores.shape, axis)
        return (labels[..., None] == label) & is_listed[..., None]

    def is_any(found: Array, label: tuple[Array, Array]) -> tuple[Array, None]:
        return found | is_class(*label), None

    each_label = jnp.moveaxis(labels, axis, 0), jnp.moveaxis(is_listed, axis, 0)
    first = is_class(labels[..., 0], is_listed[..., 0])
    is_target, _ = lax.scan(is_any, first, each_label)

    @jax.checkpoint  # or a gradient would keep C numbers for each pair of classes
    def of_label(label: tuple[Array, Array]) -> Array:
        is_this = is_class(*label)
        score = jnp.sum(scores, axis, keepdims=True, where=is_this)
        # The order matters: for large scores, its rounding decides the side of the
        # kink.
        excess = jnp.broadcast_to(1 - score, scores.shape) + scores
        is_against = is_this.any(axis, keepdims=True) & ~is_target
        return jnp.sum(jnp.where(is_against & (excess > 0), excess, 0), axis)

    # A few at a time: all would take memory of C^2 for each sample.
    losses = lax.map(of_label, each_label, batch_size=32).sum(0) / classes
    losses = nan_unless(is_label(labels).all(axis), losses, scores, axis)
    return reduce(losses, reduction).astype(dtype)


def multilabel_soft_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """The mean over classes of their binary cross-entropies, from logits.

    ::

        loss = -1/C sum_c weight[c] * (y[c] log(sigmoid(x[c]))
                                       + (1 - y[c]) log(1 - sigmoid(x[c])))

    **Arguments:**

    - ``input``: floating-point logits x of shape (..., C).
    - ``target``: real numbers y of the same shape, 1 for a class that applies and 0 for
      one that does not.
    - ``weight``: factors that broadcast to that shape, (C,) for instance, or None.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** for ``"none"`` a loss for each sample, in shape (...), otherwise their
    mean or sum, in the dtype of ``input``.

    **Raises:** `TypeError` for dtypes other than these; `ValueError` for other shapes
    or an unknown ``reduction``.
    """
    dtype, (logits, labels, weights) = as_floats(
        input=input, target=target, weight=weight
    )
    if logits.ndim == 0:
        raise ValueError("input must be of shape (..., C), found a scalar")
    check_same_shape(input=logits, target=labels)
    losses = labels * softplus(-logits) + (1 - labels) * softplus(logits)
    if weights is not None:
        losses = broadcast_to(logits.shape, "weight", weights) * losses
    return reduce(jnp.mean(losses, -1), reduction).astype(dtype)
