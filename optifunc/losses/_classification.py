"""Losses for one class among several: log-likelihoods and margins."""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from .._checks import check_choice, check_integer
from .._numerics import Scalar, is_zero
from ._arguments import as_floats, check_number
from ._labels import as_integers, check_labels, check_scores, in_range, nan_unless
from ._reduction import Reduction, reduce, reduce_weighted


def cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: Scalar = 0.0,
) -> Array:
    """The negative log-likelihood of classes or distributions, from logits.

    ::

        log_p = log_softmax(input)                               over the C classes
        loss = -weight[target] * log_p[target]                   (class labels)
        loss = -sum_c weight[c] * target[c] * log_p[c]           (class probabilities)

    With ``label_smoothing = s``, the target distribution (one-hot for a label) becomes
    ``(1 - s) * target + s / C``.

    **Arguments:**

    - ``input``: floating-point logits of shape (C,), (N, C) or (N, C, d1, ..., dK).
    - ``target``: integers in [0, C) with the shape of ``input`` without the dimension
      C, or class probabilities with the shape of ``input``.
    - ``weight``: a factor for each class, (C,), or None.
    - ``ignore_index``: the label whose samples are left out.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.
    - ``label_smoothing``: in [0, 1].

    **Returns:** for ``"none"``, a loss for each label; for ``"sum"``, their sum. For
    ``"mean"``, the sum of the losses divided by the sum of the labels' weights, which
    is NaN if all are ignored; for probabilities, the plain mean. The dtype is that of
    ``input``.

    **Raises:** `TypeError` for other dtypes. `ValueError` for other shapes, a label out
    of range, an ``ignore_index`` of 0 or more with probabilities, a ``label_smoothing``
    out of range or an unknown ``reduction``. Under `jit`, where labels cannot be
    checked, one out of range makes the loss and its gradient NaN.
    """
    check_number("label_smoothing", label_smoothing, at_least=0, at_most=1)
    dtype, (logits,) = as_floats(input=input)
    axis = _class_axis(logits)
    if jnp.asarray(target).shape == logits.shape:
        log_probs = jax.nn.log_softmax(logits, axis)
        losses = _of_probabilities(
            log_probs, axis, input, target, weight, ignore_index, label_smoothing
        )
        return reduce(losses, reduction).astype(dtype)
    labels, is_target, is_valid = _compared(logits, axis, target, ignore_index)
    # Normalize only sums over the classes: an array of all log-probabilities, or of
    # targets as numbers, would be as large as the logits.
    top = lax.stop_gradient(jnp.max(logits, axis, keepdims=True))
    normalizer = jnp.log(jnp.sum(jnp.exp(logits - top), axis))
    top = jnp.squeeze(top, axis)
    losses = normalizer - (jnp.sum(logits, axis, where=is_target) - top)
    weights = jnp.ones_like(losses)
    if weight is not None:
        class_weights = _class_weights(weight, logits, axis)
        weights = jnp.sum(class_weights, axis, where=is_target)
        losses = weights * losses
    if not is_zero(label_smoothing):
        smoothing = lax.convert_element_type(label_smoothing, logits.dtype)
        every = _of_every_class(logits, axis, weight, top, normalizer)
        share = smoothing / logits.shape[axis]
        losses = (1 - smoothing) * losses + share * every
    # All logits of a label contribute to its loss, and get its NaN.
    losses = jnp.where(is_valid, 1, jnp.nan).astype(losses.dtype) * losses
    is_ignored = labels == ignore_index
    losses, weights = (jnp.where(is_ignored, 0, x) for x in (losses, weights))
    return reduce_weighted(losses, weights, reduction).astype(dtype)


def nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Array:
    """The negative log-likelihood of class labels, from log-probabilities.

    ::

        loss = -weight[target] * input[target]

    **Arguments:**

    - ``input``: floating-point log-probabilities of shape (C,), (N, C) or (N, C, d1,
      ..., dK).
    - ``target``: integers in [0, C) with the shape of ``input`` without the dimension
      C.
    - ``weight``: a factor for each class, (C,), or None.
    - ``ignore_index``: the label whose samples are left out.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** for ``"none"``, a loss for each label; for ``"sum"``, their sum; for
    ``"mean"``, their sum divided by the sum of their weights, which is NaN if all are
    ignored. The dtype is that of ``input``.

    **Raises:** `TypeError` for other dtypes; `ValueError` for other shapes, a label out
    of range or an unknown ``reduction``. Under `jit`, where labels cannot be checked,
    one out of range makes the loss and its gradient NaN.
    """
    dtype, (log_probs,) = as_floats(input=input)
    axis = _class_axis(log_probs)
    labels, is_target, is_valid = _compared(log_probs, axis, target, ignore_index)
    class_weights = _class_weights(weight, log_probs, axis)
    weights = jnp.sum(class_weights, axis, where=is_target)
    losses = -weights * jnp.sum(log_probs, axis, where=is_target)
    losses = nan_unless(is_valid, losses, log_probs, axis)
    is_ignored = labels == ignore_index
    losses, weights = (jnp.where(is_ignored, 0, x) for x in (losses, weights))
    return reduce_weighted(losses, weights, reduction).astype(dtype)


def _class_axis(scores: Array) -> int:
    if scores.ndim == 0:
        raise ValueError(
            "input must be of shape (C,) or (N, C, ...), found a scalar: it needs a "
            "dimension of classes"
        )
    return min(scores.ndim - 1, 1)


def _compared(
    scores: Array, axis: int, target: Any, ignore_index: int
) -> tuple[Array, Array, Array]:
    """The labels, which score belongs to each, and which labels are valid."""
    bounds = jnp.iinfo(jnp.int32)
    check_integer("ignore_index", ignore_index, at_least=bounds.min, at_most=bounds.max)
    classes = scores.shape[axis]
    expected = scores.shape[:axis] + scores.shape[axis + 1 :]
    found = jnp.asarray(target).shape
    if found != expected:
        raise ValueError(
            f"target must have the shape of input without its classes, {expected}, or "
            f"for class probabilities all of it, {scores.shape}; "
            f"found {found}"
        )
    labels = as_integers("target", target)
    check_labels("target", labels, classes, also=ignore_index)
    # Compare with each class instead of indexing: the derivative of indexing is a
    # scatter, which is slow and, on accelerators, adds in arbitrary order.
    label = lax.broadcasted_iota(labels.dtype, scores.shape, axis)
    is_target = label == jnp.expand_dims(labels, axis)
    return labels, is_target, (labels == ignore_index) | in_range(labels, classes)


def _of_every_class(
    logits: Array, axis: int, weight: Any, top: Array, normalizer: Array
) -> Array:
    """The weighted sum of the losses with each class as the label."""
    below = jnp.expand_dims(top, axis) - logits
    if weight is None:
        return jnp.sum(below, axis) + logits.shape[axis] * normalizer
    class_weights = _class_weights(weight, logits, axis)
    total = jnp.sum(class_weights, axis)
    return jnp.sum(class_weights * below, axis) + total * normalizer


def _of_probabilities(
    log_probs: Array,
    axis: int,
    input: Any,
    target: Any,
    weight: Any,
    ignore_index: int,
    smoothing: Scalar,
) -> Array:
    """The loss of each distribution."""
    if not jnp.issubdtype(jnp.asarray(target).dtype, jnp.floating):
        raise TypeError(
            "target must be of a floating dtype where it has the shape of input, being "
            f"class probabilities; found {jnp.asarray(target).dtype}"
        )
    if ignore_index >= 0:
        raise ValueError(
            "ignore_index must be negative where target is class probabilities, "
            f"found {ignore_index}"
        )
    _, (_, target) = as_floats(input=input, target=target)
    if not is_zero(smoothing):
        smoothing = lax.convert_element_type(smoothing, target.dtype)
        target = (1 - smoothing) * target + smoothing / target.shape[axis]
    return -jnp.sum(_class_weights(weight, log_probs, axis) * target * log_probs, axis)


def _class_weights(weight: Any, scores: Array, axis: int) -> Array:
    """The weight of each class, in the shape of ``scores``."""
    if weight is None:
        return jnp.ones_like(scores)
    _, (_, weights) = as_floats(input=scores, weight=weight)
    classes = scores.shape[axis]
    if weights.shape != (classes,):
        raise ValueError(
            f"weight must be of shape ({classes},), one for each class, "
            f"found {weights.shape}"
        )
    return lax.broadcast_in_dim(weights, scores.shape, (axis,))


def multi_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    p: Literal[1, 2] = 1,
    margin: Scalar = 1.0,
    weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """The hinge loss of one class against every other class.

    ::

        loss = weight[target] / C
               * sum_{c != target} max(0, margin - x[target] + x[c])^p

    **Arguments:**

    - ``input``: floating-point scores x of shape (C,) or (N, C).
    - ``target``: integers in [0, C), of shape () or (N,), where N may also be 1 for one
      sample.
    - ``p``: 1 or 2.
    - ``margin``: how far the score of the target should lead, a number or scalar array.
    - ``weight``: a factor for each class, (C,), or None.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** for ``"none"`` a loss for each label, otherwise their mean or sum, in
    the dtype of ``input``. At a kink, the gradient is that of the flat side, 0.

    **Raises:** `TypeError` for other dtypes; `ValueError` for other shapes, a label out
    of range, another ``p`` or an unknown ``reduction``. Under `jit`, where labels
    cannot be checked, one out of range makes the loss and its gradient NaN.

    **Source:** K. Crammer and Y. Singer, *On the Algorithmic Implementation of
    Multiclass Kernel-based Vector Machines*, JMLR 2001; here, every class that comes
    too close counts, not only the closest.
    """
    check_choice("p", p, (1, 2))
    check_number("margin", margin)
    dtype, (scores, lead) = as_floats(input=input, margin=margin)
    check_scores("input", scores)
    labels = as_integers("target", target)
    if labels.shape == (1,) and scores.ndim == 1:
        scores = scores[None]
    if labels.shape != scores.shape[:-1]:
        raise ValueError(
            "target must have the shape of input without its classes, "
            f"{scores.shape[:-1]}, found {labels.shape}"
        )
    axis = scores.ndim - 1
    classes = scores.shape[axis]
    check_labels("target", labels, classes)
    is_target = (
        lax.broadcasted_iota(labels.dtype, scores.shape, axis) == labels[..., None]
    )
    target_score = jnp.sum(scores, axis, keepdims=True, where=is_target)
    # The order matters: for large scores, its rounding decides the side of the kink.
    excess = jnp.broadcast_to(lead - target_score, scores.shape) + scores
    excess = jnp.where(~is_target & (excess > 0), excess, 0)
    weights = jnp.sum(_class_weights(weight, scores, axis), axis, where=is_target)
    losses = weights * jnp.mean(excess if p == 1 else excess * excess, axis)
    losses = nan_unless(in_range(labels, classes), losses, scores, axis)
    return reduce(losses, reduction).astype(dtype)
