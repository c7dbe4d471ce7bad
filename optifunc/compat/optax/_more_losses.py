"""optax's losses for margins, regions, lists and pairs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ... import losses as ours
from ._losses import masked_like, softmax_cross_entropy


def _together(x: ArrayLike, y: ArrayLike) -> list[Array]:
    return jnp.broadcast_arrays(jnp.asarray(x), jnp.asarray(y))


def _agreement(scores: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    """Scores times targets, with a target of 1: targets need not be 1 or -1."""
    score, target = _together(scores, targets)
    return score * target, jnp.ones_like(score)


def hinge_loss(predictor_outputs: ArrayLike, targets: ArrayLike) -> Array:
    """`of.losses.hinge_loss` of each element."""
    return ours.hinge_loss(*_agreement(predictor_outputs, targets), "none")


def perceptron_loss(predictor_outputs: ArrayLike, targets: ArrayLike) -> Array:
    """`of.losses.perceptron_loss` of each element."""
    return ours.perceptron_loss(*_agreement(predictor_outputs, targets), "none")


def sparsemax_loss(logits: ArrayLike, labels: ArrayLike) -> Array:
    """`of.losses.sparsemax_loss` of each element; a label that is not 0 is 1."""
    logits, labels = _together(logits, labels)
    return ours.sparsemax_loss(logits, labels != 0, "none")


def _of_rows(loss: Any, scores: ArrayLike, labels: ArrayLike) -> Array:
    """A loss of scores (N, C) for any axes before that of the classes."""
    scores, labels = jnp.asarray(scores), jnp.asarray(labels)
    rows = scores.reshape(-1, scores.shape[-1])
    return jnp.reshape(loss(rows, labels.ravel(), "none"), labels.shape)


def multiclass_hinge_loss(scores: ArrayLike, labels: ArrayLike) -> Array:
    """`of.losses.multiclass_hinge_loss` of each example."""
    return _of_rows(ours.multiclass_hinge_loss, scores, labels)


def multiclass_perceptron_loss(scores: ArrayLike, labels: ArrayLike) -> Array:
    """`of.losses.multiclass_perceptron_loss` of each example."""
    return _of_rows(ours.multiclass_perceptron_loss, scores, labels)


def multiclass_sparsemax_loss(scores: ArrayLike, labels: ArrayLike) -> Array:
    """`of.losses.multiclass_sparsemax_loss` of each example."""
    return _of_rows(ours.multiclass_sparsemax_loss, scores, labels)


def sigmoid_focal_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: ArrayLike | None = None,
    gamma: ArrayLike = 2.0,
) -> Array:
    """`of.losses.sigmoid_focal_loss` of each element."""
    logits, labels = _together(logits, labels)
    return ours.sigmoid_focal_loss(logits, labels, alpha, gamma, "none")  # type: ignore[arg-type]


def poly_loss_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    epsilon: ArrayLike = 2.0,
    axis: int | tuple[int, ...] | None = -1,
    where: ArrayLike | None = None,
) -> Array:
    """`of.losses.poly_loss` of distributions, along any axes."""
    where = masked_like(where, logits, axis)
    log_p = jax.nn.log_softmax(jnp.asarray(logits), axis, where)
    wrong = -jnp.sum(jnp.asarray(labels) * jnp.expm1(log_p), axis, where=where)
    return softmax_cross_entropy(logits, labels, axis, where) + epsilon * wrong


def make_fenchel_young_loss(max_fun: Callable[..., Any]) -> Callable[..., Array]:
    """`of.losses.fenchel_young_loss` of each example, for one function."""

    def fenchel_young_loss(
        scores: ArrayLike, targets: ArrayLike, *args: Any, **kwargs: Any
    ) -> Array:
        def largest(vector: Array) -> Array:
            return jnp.asarray(max_fun(vector, *args, **kwargs))

        score, target = _together(scores, targets)
        return ours.fenchel_young_loss(score, target, largest, "none")

    return fenchel_young_loss


def ranking_softmax_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    where: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    reduce_fn: Callable[..., Any] | None = jnp.mean,
) -> Array:
    """`of.losses.ranking_softmax_loss`, reduced by any function."""
    scores = jnp.asarray(logits)

    def like_scores(x: ArrayLike | None) -> Array | None:
        return None if x is None else jnp.broadcast_to(jnp.asarray(x), scores.shape)

    is_item = like_scores(where)
    loss = partial(
        ours.ranking_softmax_loss,
        scores,
        jnp.broadcast_to(jnp.asarray(labels), scores.shape),
        None if is_item is None else is_item.astype(bool),
        like_scores(weights),
    )
    if reduce_fn is jnp.mean:
        return loss("mean")
    if reduce_fn is None:
        return loss("none")
    has_items = None if is_item is None else jnp.any(is_item, -1)
    return jnp.asarray(reduce_fn(loss("none"), where=has_items))


# --- regions --------------------------------------------------------------------------


def dice_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    class_weights: ArrayLike | None = None,
    smooth: ArrayLike = 1.0,
    alpha: ArrayLike = 0.5,
    beta: ArrayLike = 0.5,
    apply_softmax: bool = True,
    reduction: Literal["none", "mean", "sum"] = "mean",
    ignore_background: bool = False,
    axis: int | tuple[int, ...] | None = None,
) -> Array:
    """`of.losses.dice_loss` with the classes last, reduced over these alone."""
    x, y = jnp.asarray(predictions), jnp.asarray(targets)
    x = x[..., None] if x.ndim == y.ndim - 1 else x
    y = y[..., None] if y.ndim == x.ndim - 1 else y
    kept, regions = _places_last((x, y), axis)
    losses = ours.dice_loss(
        regions[0],
        regions[1],
        class_weights,
        smooth,  # type: ignore[arg-type]
        alpha,  # type: ignore[arg-type]
        beta,  # type: ignore[arg-type]
        apply_softmax,
        ignore_background,
        "none",
    )
    losses = losses.reshape(*kept, -1)
    if reduction == "none":
        return losses
    return {"mean": jnp.mean, "sum": jnp.sum}[reduction](losses, axis=-1)


def _places_last(
    arrays: tuple[Array, Array], axis: int | tuple[int, ...] | None
) -> tuple[list[int], list[Array]]:
    """The sizes of the axes that stay, and arrays of shape (N, C, places)."""
    ndim, shape = arrays[0].ndim, arrays[0].shape
    axes = range(1, ndim - 1) if axis is None else np.atleast_1d(axis)
    places = [int(i) % ndim for i in axes]
    kept = [i for i in range(ndim - 1) if i not in places]
    order = [*kept, ndim - 1, *places]
    sizes = [shape[i] for i in kept]
    regions = [
        x.transpose(order).reshape(int(np.prod(sizes)), shape[-1], -1) for x in arrays
    ]
    return sizes, regions


def multiclass_generalized_dice_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    smooth: ArrayLike = 1.0,
    apply_softmax: bool = True,
    ignore_background: bool = False,
) -> Array:
    """`of.losses.generalized_dice_loss` with the classes last."""
    arrays = jnp.asarray(predictions), jnp.asarray(targets)
    _, regions = _places_last(arrays, None)
    return ours.generalized_dice_loss(
        regions[0],
        regions[1],
        smooth,  # type: ignore[arg-type]
        apply_softmax,
        ignore_background,
    )


def binary_dice_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    smooth: ArrayLike = 1.0,
    apply_sigmoid: bool = True,
) -> Array:
    """`of.losses.binary_dice_loss` of each example."""
    x, y = jnp.asarray(predictions), jnp.asarray(targets)
    if x.ndim == y.ndim and x.shape[-1] != 1:
        x, y = x[..., None], y[..., None]
    return dice_loss(x, y, smooth=smooth, apply_softmax=apply_sigmoid)


# --- pairs ----------------------------------------------------------------------------


def ntxent(
    embeddings: ArrayLike, labels: ArrayLike, temperature: ArrayLike = 0.07
) -> Array:
    """`of.losses.ntxent_loss`."""
    return ours.ntxent_loss(embeddings, labels, temperature)  # type: ignore[arg-type]


def triplet_margin_loss(
    anchors: ArrayLike,
    positives: ArrayLike,
    negatives: ArrayLike,
    axis: int = -1,
    norm_degree: ArrayLike = 2,
    margin: ArrayLike = 1.0,
    eps: ArrayLike = 1e-6,
) -> Array:
    """A triplet margin loss of each example, with ``eps`` in the sum.

    So it is not `of.losses.triplet_margin_loss`.
    """

    def distance(x: Any, y: Any) -> Array:
        powers = jnp.sum(jnp.power(x - y, norm_degree), axis)
        return jnp.power(powers + eps, 1 / jnp.asarray(norm_degree))

    near, far = distance(anchors, positives), distance(anchors, negatives)
    return jnp.maximum(near - far + margin, 0)
