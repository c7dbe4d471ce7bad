"""Losses for scores that should lead by a margin."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from ._arguments import as_floats, check_same_shape, check_values
from ._embedding import is_sign
from ._kinks import positive_part
from ._labels import as_integers, check_labels, check_scores, in_range, nan_unless
from ._reduction import Reduction, reduce


def hinge_loss(
    input: ArrayLike, target: ArrayLike, reduction: Reduction = "mean"
) -> Array:
    """How far a score falls short of a margin of 1, for labels 1 and -1.

    ``loss = max(0, 1 - target * input)``.

    **Arguments:**

    - ``input``: scores, floats of any shape.
    - ``target``: of the same shape, 1 or -1.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** an array of the shape of ``input`` for ``"none"``, otherwise a scalar;
    in the dtype of ``input``.

    **Raises:** `ValueError` if the shapes differ, ``reduction`` is unknown, or
    ``target``, if its values are known, has another number; `TypeError` if ``input`` is
    not of a float dtype.

    **Source:** Cortes and Vapnik, "Support-vector networks", 1995.
    """
    return _of_signs(input, target, 1.0, 1, reduction)


def squared_hinge_loss(
    input: ArrayLike, target: ArrayLike, reduction: Reduction = "mean"
) -> Array:
    """The square of `hinge_loss`: ``loss = max(0, 1 - target * input)**2``.

    **Arguments:**

    - ``input``, ``target``, ``reduction``: see `hinge_loss`.

    **Returns, raises:** see `hinge_loss`.
    """
    return _of_signs(input, target, 1.0, 2, reduction)


def perceptron_loss(
    input: ArrayLike, target: ArrayLike, reduction: Reduction = "mean"
) -> Array:
    """How far a score has the wrong sign: ``loss = max(0, -target * input)``.

    **Arguments:**

    - ``input``, ``target``, ``reduction``: see `hinge_loss`.

    **Returns, raises:** see `hinge_loss`.

    **Source:** Rosenblatt, "The perceptron", 1958.
    """
    return _of_signs(input, target, 0.0, 1, reduction)


def multiclass_hinge_loss(
    input: ArrayLike, target: ArrayLike, reduction: Reduction = "mean"
) -> Array:
    """How far the score of a class falls short of leading all others by 1.

    ::

        loss = max(0, max_{c != target} 1 + x[c] - x[target])

    `multi_margin_loss` sums the shortfalls over the classes instead.

    **Arguments:**

    - ``input``: scores, floats in shape (C,) or (N, C).
    - ``target``: integers in [0, C), in shape () or (N,).
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** for ``"none"``, a loss for each label, otherwise their mean or sum; in
    the dtype of ``input``. Equal scores share the gradient.

    **Raises:** `TypeError` for other dtypes; `ValueError` for other shapes, a label out
    of range or an unknown ``reduction``. Under `jit`, where labels cannot be checked,
    one out of range makes the loss and its gradient NaN.

    **Source:** Crammer and Singer, "On the algorithmic implementation of multiclass
    kernel-based vector machines", 2001.
    """
    return _of_classes(input, target, 1.0, reduction)


def multiclass_perceptron_loss(
    input: ArrayLike, target: ArrayLike, reduction: Reduction = "mean"
) -> Array:
    """How far another class leads: ``loss = max(x) - x[target]``.

    **Arguments:**

    - ``input``, ``target``, ``reduction``: see `multiclass_hinge_loss`.

    **Returns, raises:** see `multiclass_hinge_loss`.

    **Source:** Collins, "Discriminative training methods for hidden Markov models",
    2002.
    """
    return _of_classes(input, target, 0.0, reduction)


def as_scores_and_labels(
    input: ArrayLike, target: ArrayLike
) -> tuple[jnp.dtype, Array, Array, Array]:
    """The dtype, the scores (.., C), the labels, and which score belongs to each.

    **Raises:** see `multiclass_hinge_loss`.
    """
    dtype, (scores,) = as_floats(input=input)
    check_scores("input", scores)
    labels = as_integers("target", target)
    if labels.shape != scores.shape[:-1]:
        raise ValueError(
            "target must have the shape of input without its classes, "
            f"{scores.shape[:-1]}, found {labels.shape}"
        )
    check_labels("target", labels, scores.shape[-1])
    axis = scores.ndim - 1
    label = lax.broadcasted_iota(labels.dtype, scores.shape, axis)
    return dtype, scores, labels, label == labels[..., None]


def _of_signs(
    input: ArrayLike,
    target: ArrayLike,
    margin: float,
    exponent: int,
    reduction: Reduction,
) -> Array:
    dtype, (x, y) = as_floats(input=input, target=target)
    check_values("target", target, is_sign, "1 or -1")
    check_same_shape(input=x, target=y)
    losses = positive_part(margin - y * x)
    return reduce(losses if exponent == 1 else losses * losses, reduction).astype(dtype)


def _of_classes(
    input: ArrayLike, target: ArrayLike, margin: float, reduction: Reduction
) -> Array:
    dtype, scores, labels, is_target = as_scores_and_labels(input, target)
    lead = jnp.where(is_target, scores, scores + margin)
    losses = jnp.max(lead, -1) - jnp.sum(scores, -1, where=is_target)
    is_valid = in_range(labels, scores.shape[-1])
    losses = nan_unless(is_valid, losses, scores, scores.ndim - 1)
    return reduce(losses, reduction).astype(dtype)
