"""optax's losses: one value per example or element, in its order of arguments."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ... import losses as ours


def squared_error(predictions: ArrayLike, targets: ArrayLike | None = None) -> Array:
    """`of.losses.mse_loss` of each element."""
    difference = predictions if targets is None else predictions - targets  # type: ignore[operator]
    return jnp.square(jnp.asarray(difference))


def l2_loss(predictions: ArrayLike, targets: ArrayLike | None = None) -> Array:
    """Half of `squared_error`."""
    return 0.5 * squared_error(predictions, targets)


def huber_loss(
    predictions: ArrayLike, targets: ArrayLike | None = None, *, delta: float = 1.0
) -> Array:
    """`of.losses.huber_loss` of each element."""
    inputs = jnp.asarray(predictions)
    goals = jnp.zeros_like(inputs) if targets is None else jnp.asarray(targets)
    inputs, goals = jnp.broadcast_arrays(inputs, goals)
    return ours.huber_loss(inputs, goals, "none", delta)


def log_cosh(predictions: ArrayLike, targets: ArrayLike | None = None) -> Array:
    """``log(cosh(difference))``, without overflow."""
    x = jnp.asarray(predictions if targets is None else predictions - targets)  # type: ignore[operator]
    return jnp.logaddexp(x, -x) - jnp.log(2.0).astype(x.dtype)


def sigmoid_binary_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Array:
    """`of.losses.binary_cross_entropy_with_logits` of each element."""
    logits = jnp.asarray(logits)
    labels = jnp.asarray(labels, logits.dtype)
    log_p, log_not_p = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    return -labels * log_p - (1.0 - labels) * log_not_p


def softmax_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    axis: int | tuple[int, ...] | None = -1,
    where: ArrayLike | None = None,
) -> Array:
    """The cross entropy of distributions, along any axes."""
    where = masked_like(where, logits, axis)
    log_p = jax.nn.log_softmax(jnp.asarray(logits), axis, where)
    return -jnp.sum(jnp.asarray(labels) * log_p, axis, where=where)


def masked_like(where: ArrayLike | None, logits: ArrayLike, axis: Any) -> Any:
    """A mask of examples as a mask of logits."""
    if where is None or jnp.ndim(where) == jnp.ndim(logits):
        return where
    return jnp.expand_dims(jnp.asarray(where), axis)


def safe_softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Array:
    """`softmax_cross_entropy` with 0 where a label is 0, for any logit."""
    labels, log_p = jnp.asarray(labels), jax.nn.log_softmax(jnp.asarray(logits))
    return -jnp.sum(jnp.where(labels == 0, 0, labels * log_p), axis=-1)


def softmax_cross_entropy_with_integer_labels(
    logits: ArrayLike,
    labels: ArrayLike,
    axis: int | tuple[int, ...] = -1,
    where: ArrayLike | None = None,
) -> Array:
    """The cross entropy of classes, along any axes."""
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    where = masked_like(where, logits, axis)
    if not isinstance(axis, int):
        # Several axes of classes become the last one.
        last = tuple(range(-len(axis), 0))
        logits = jnp.moveaxis(logits, axis, last)
        logits = logits.reshape(*logits.shape[: -len(axis)], -1)
        if where is not None:
            where = jnp.moveaxis(where, axis, last)
            where = where.reshape(*where.shape[: -len(axis)], -1)
        axis = -1
    picked = jnp.take_along_axis(logits, jnp.expand_dims(labels, axis), axis)
    loss = jax.nn.logsumexp(logits, axis, where=where) - picked.squeeze(axis)
    return loss if where is None else jnp.where(jnp.any(where, axis), loss, 0)


def smooth_labels(
    labels: ArrayLike,
    alpha: ArrayLike,
    *,
    axis: int | tuple[int, ...] | None = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Labels with a fraction spread over all classes."""
    labels = jnp.asarray(labels)
    count = jnp.sum(jnp.ones_like(labels), axis, where=where, keepdims=True)
    return jnp.asarray((1.0 - alpha) * labels + alpha / count)


def cosine_similarity(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    epsilon: float = 0.0,
    axis: int | tuple[int, ...] | None = -1,
    where: ArrayLike | None = None,
) -> Array:
    """The cosine of the angle between two vectors."""
    x, y = jnp.asarray(predictions), jnp.asarray(targets)

    def length(v: Array) -> Array:
        square = jnp.sum(v * v, axis, where=where, keepdims=True)
        return jnp.sqrt(jnp.clip(square, epsilon))

    return jnp.sum((x / length(x)) * (y / length(y)), axis, where=where)


def cosine_distance(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    epsilon: float = 0.0,
    axis: int | tuple[int, ...] | None = -1,
    where: ArrayLike | None = None,
) -> Array:
    """1 minus `cosine_similarity`."""
    return 1.0 - cosine_similarity(
        predictions, targets, epsilon=epsilon, axis=axis, where=where
    )


def _entropy_term(p: Array) -> Array:
    return p * jnp.where(p > 0, jnp.log(jnp.where(p > 0, p, 1)), 0)


def kl_divergence(
    log_predictions: ArrayLike,
    targets: ArrayLike,
    axis: int | tuple[int, ...] | None = -1,
    where: ArrayLike | None = None,
) -> Array:
    """`of.losses.kl_div`, summed over ``axis``."""
    p, log_q = jnp.asarray(targets), jnp.asarray(log_predictions)
    return jnp.sum(_entropy_term(p) - p * log_q, axis, where=where)


def kl_divergence_with_log_targets(
    log_predictions: ArrayLike,
    log_targets: ArrayLike,
    axis: int | tuple[int, ...] | None = -1,
    where: ArrayLike | None = None,
) -> Array:
    """The same with targets as logarithms."""
    log_p, log_q = jnp.asarray(log_targets), jnp.asarray(log_predictions)
    return jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis, where=where)


def convex_kl_divergence(
    log_predictions: ArrayLike,
    targets: ArrayLike,
    axis: int | tuple[int, ...] | None = -1,
    where: ArrayLike | None = None,
) -> Array:
    """`kl_divergence` plus the terms that make it convex in both arguments."""
    p, log_q = jnp.asarray(targets), jnp.asarray(log_predictions)
    divergence = kl_divergence(log_q, p, axis, where)
    return divergence + jnp.sum(jnp.exp(log_q) - p, axis, where=where)


generalized_kl_divergence = convex_kl_divergence
