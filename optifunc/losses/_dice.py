"""Losses for segmentation: how little two regions overlap."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from .._numerics import Scalar
from ._arguments import as_floats, check_number, check_same_shape
from ._labels import as_integers, check_labels
from ._reduction import Reduction, reduce


def dice_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    smooth: Scalar = 1.0,
    alpha: Scalar = 0.5,
    beta: Scalar = 0.5,
    apply_softmax: bool = True,
    ignore_background: bool = False,
    reduction: Reduction = "mean",
) -> Array:
    """How little predicted and true regions overlap, class by class: Dice and Tversky.

    ::

        p = softmax(input)                                over the classes
        both = sum(p * target)                            over the places
        wrong = alpha * (sum(p) - both) + beta * (sum(target) - both)
        loss = weight * (1 - (both + smooth) / (both + wrong + smooth))

    If both are 1/2, it is the Dice loss. A larger ``alpha`` avoids false positives; a
    larger ``beta`` avoids false negatives.

    **Arguments:**

    - ``input``: floats of shape (N, C, d1, ..., dK): logits, or with
      ``apply_softmax=False`` probabilities. With one class, C = 1, ``sigmoid`` is
      applied instead.
    - ``target``: numbers in [0, 1] of the same shape, such as a one-hot encoding, or
      labels: integers in [0, C) in shape (N, d1, ..., dK).
    - ``weight``: a factor for each class, (C,), or None.
    - ``smooth``: a number of at least 0 that avoids a division by 0 for an empty
      region.
    - ``alpha``, ``beta``: the weights of false positives and false negatives, at least
      0.
    - ``apply_softmax``: whether ``input`` are logits.
    - ``ignore_background``: leave out the first class, unless it is the only one.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** an array (N, C), or (N, C - 1) without background, for ``"none"``,
    otherwise a scalar; in the dtype of ``input``.

    **Raises:** `ValueError` if the shapes do not fit, a known label or a number is out
    of range, or ``reduction`` is unknown; `TypeError` if ``input`` is not of a float
    dtype.

    **Source:** Milletari, Navab and Ahmadi, "V-Net", 2016,
    [arXiv:1606.04797](https://arxiv.org/abs/1606.04797); Salehi, Erdogmus and
    Gholipour, "Tversky loss function for image segmentation", 2017,
    [arXiv:1706.05721](https://arxiv.org/abs/1706.05721).
    """
    check_number("alpha", alpha, at_least=0)
    check_number("beta", beta, at_least=0)
    dtype, found, true = _regions(input, target, apply_softmax)
    _, (_, class_weight) = as_floats(input=found, weight=weight)
    if class_weight is not None and class_weight.shape != found.shape[1:2]:
        raise ValueError(
            f"weight must be of shape {found.shape[1:2]}, one for each class, found "
            f"{class_weight.shape}"
        )
    losses = _not_shared(found, true, class_weight, smooth, alpha, beta)
    return _of_classes_that_count(losses, ignore_background, reduction).astype(dtype)


def generalized_dice_loss(
    input: ArrayLike,
    target: ArrayLike,
    smooth: Scalar = 1.0,
    apply_softmax: bool = True,
    ignore_background: bool = False,
    reduction: Reduction = "mean",
) -> Array:
    """`dice_loss` with classes weighted by the inverse square of their sizes.

    ::

        w = 1 / (size**2 + 1e-7) with the sizes of the classes in the batch loss = w * C
        / sum(w) * dice_loss

    **Arguments:**

    - ``input``, ``target``, ``smooth``, ``apply_softmax``, ``ignore_background``,
      ``reduction``: see `dice_loss`.

    **Returns, raises:** see `dice_loss`.

    **Source:** Sudre et al., "Generalised Dice overlap as a deep learning loss function
    for highly unbalanced segmentations", 2017,
    [arXiv:1707.03237](https://arxiv.org/abs/1707.03237).
    """
    dtype, found, true = _regions(input, target, apply_softmax)
    sizes = jnp.sum(true, (0, *range(2, true.ndim)))
    weight = 1 / (jnp.square(sizes) + 1e-7)
    weight = weight * (len(weight) / jnp.sum(weight))
    losses = _not_shared(found, true, weight, smooth, 0.5, 0.5)
    return _of_classes_that_count(losses, ignore_background, reduction).astype(dtype)


def binary_dice_loss(
    input: ArrayLike,
    target: ArrayLike,
    smooth: Scalar = 1.0,
    apply_sigmoid: bool = True,
    reduction: Reduction = "mean",
) -> Array:
    """`dice_loss` of one region, without a class axis.

    **Arguments:**

    - ``input``: floats of shape (N, d1, ..., dK): logits, or with
      ``apply_sigmoid=False`` probabilities.
    - ``target``: numbers in [0, 1] of the same shape.
    - ``smooth``: see `dice_loss`.
    - ``apply_sigmoid``: whether ``input`` are logits.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** an array (N,) for ``"none"``, otherwise a scalar; in the dtype of
    ``input``.

    **Raises:** see `dice_loss`.
    """
    dtype, (x, y) = as_floats(input=input, target=target)
    check_same_shape(input=x, target=y)
    if x.ndim == 0:
        raise ValueError("input must be of shape (N, d1, ..., dK), found a scalar")
    p = lax.logistic(x) if apply_sigmoid else x
    losses = _not_shared(p[:, None], y[:, None], None, smooth, 0.5, 0.5)
    return reduce(losses[:, 0], reduction).astype(dtype)


def _regions(input: Any, target: Any, apply_softmax: bool) -> tuple[Any, Array, Array]:
    """The dtype, the probabilities (N, C, ...) and the targets in their shape."""
    dtype, (x,) = as_floats(input=input)
    if x.ndim < 2 or x.shape[1] == 0:
        raise ValueError(
            f"input must be of shape (N, C, d1, ..., dK) with C > 0, found {x.shape}"
        )
    if jnp.shape(target) == (x.shape[0], *x.shape[2:]):
        labels = as_integers("target", target)
        check_labels("target", labels, x.shape[1])
        label = lax.broadcasted_iota(labels.dtype, x.shape, 1)
        y = (label == labels[:, None]).astype(x.dtype)
    else:
        _, (_, y) = as_floats(input=x, target=target)
        if y.shape != x.shape:
            raise ValueError(
                f"target must have the shape of input, {x.shape}, or for labels that "
                f"without the classes, found {y.shape}"
            )
    if apply_softmax:
        x = lax.logistic(x) if x.shape[1] == 1 else jax.nn.softmax(x, 1)
    return dtype, x, y


def _not_shared(
    found: Array,
    true: Array,
    weight: Array | None,
    smooth: Scalar,
    alpha: Scalar,
    beta: Scalar,
) -> Array:
    """1 minus Tversky's index for each sample and class."""
    check_number("smooth", smooth, at_least=0)
    places = tuple(range(2, found.ndim))
    both = jnp.sum(found * true, places)
    surplus = jnp.sum(found * (1 - true), places)
    missed = jnp.sum((1 - found) * true, places)
    # The distance of the index from 1, without subtracting nearly equal numbers.
    wrong = alpha * surplus + beta * missed
    losses = wrong / (both + wrong + smooth)
    if weight is None:
        return losses
    return losses * lax.broadcast_in_dim(weight, losses.shape, (1,))


def _of_classes_that_count(
    losses: Array, ignore_background: bool, reduction: Reduction
) -> Array:
    if ignore_background and losses.shape[1] > 1:
        losses = losses[:, 1:]
    return reduce(losses, reduction)
