"""Losses for a choice between two classes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ._arguments import as_floats, broadcast_to, check_same_shape, check_values
from ._kinks import EPSILON
from ._reduction import Reduction, reduce
from ._softplus import softplus


def binary_cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """Cross-entropy of probabilities.

    ::

        loss = -weight * (target * log(input) + (1 - target) * log(1 - input))

    As in torch, logarithms are at least -100, and the derivative of the loss with
    respect to ``input`` is::

        weight * (input - target) / max(input * (1 - input), 1e-12)

    The derivative with respect to ``target`` is that of the loss and is finite; torch's
    is infinite where ``input`` is 0 or 1.

    **Arguments:**

    - ``input``: probabilities, floats of any shape.
    - ``target``: of the same shape, in [0, 1].
    - ``weight``: numbers of a shape that broadcasts to it.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** an array of the shape of ``input`` for ``"none"``, otherwise a scalar;
    in the dtype of ``input``.

    **Raises:** `ValueError` if the shapes do not fit, ``reduction`` is unknown, or
    ``input`` or ``target``, if its values are known, is not in [0, 1]; `TypeError` if
    ``input`` is not of a float dtype.
    """
    dtype, (p, y, w) = as_floats(input=input, target=target, weight=weight)
    check_values("input", input, is_probability, "in [0, 1]")
    check_values("target", target, is_probability, "in [0, 1]")
    check_same_shape(input=p, target=y)
    losses = -y * _log(p) - (1 - y) * _log_of_complement(p)
    if w is not None:
        losses = losses * broadcast_to(losses.shape, "weight", w)
    return reduce(losses, reduction).astype(dtype)


def binary_cross_entropy_with_logits(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    pos_weight: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of the probabilities ``sigmoid(input)``, for logits of any size.

    ::

        loss = -weight * (pos_weight * target * log(sigmoid(input))
                          + (1 - target) * log(sigmoid(-input)))

    **Arguments:**

    - ``input``: logits, floats of any shape.
    - ``target``: of the same shape, in [0, 1].
    - ``weight``: numbers of a shape that broadcasts to it, or None.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.
    - ``pos_weight``: like ``weight``, usually one number for each class.

    **Returns:** an array of the shape of ``input`` for ``"none"``, otherwise a scalar;
    in the dtype of ``input``.

    **Raises:** `ValueError` if the shapes do not fit, ``reduction`` is unknown, or
    ``target``, if its values are known, is not in [0, 1]; `TypeError` if ``input`` is
    not of a float dtype.
    """
    dtype, (x, y, w, pos) = as_floats(
        input=input, target=target, weight=weight, pos_weight=pos_weight
    )
    check_values("target", target, is_probability, "in [0, 1]")
    check_same_shape(input=x, target=y)
    positive = y if pos is None else y * broadcast_to(y.shape, "pos_weight", pos)
    losses = positive * softplus(-x) + (1 - y) * softplus(x)
    if w is not None:
        losses = losses * broadcast_to(losses.shape, "weight", w)
    return reduce(losses, reduction).astype(dtype)


def soft_margin_loss(
    input: ArrayLike, target: ArrayLike, reduction: Reduction = "mean"
) -> Array:
    """Logistic loss for labels 1 and -1.

    ::

        loss = log(1 + exp(-target * input))

    It is computed without overflow; torch's is infinite, and its derivative NaN, above
    88 in float32.

    **Arguments:**

    - ``input``: floats of any shape.
    - ``target``: of the same shape, 1 or -1.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** an array of the shape of ``input`` for ``"none"``, otherwise a scalar;
    in the dtype of ``input``.

    **Raises:** `ValueError` if the shapes differ or ``reduction`` is unknown,
    `TypeError` if ``input`` is not of a float dtype.
    """
    dtype, (x, y) = as_floats(input=input, target=target)
    check_same_shape(input=x, target=y)
    return reduce(softplus(-y * x), reduction).astype(dtype)


def is_probability(p: Array) -> Array:
    """Whether each number is in [0, 1]."""
    return (p >= 0) & (p <= 1)


@jax.custom_jvp
def _log(p: Array) -> Array:
    return jnp.maximum(jnp.log(p), -100)


@jax.custom_jvp
def _log_of_complement(p: Array) -> Array:
    return jnp.maximum(jnp.log1p(-p), -100)


# Both 1/p and -1/(1 - p) are expanded by the factor that vanishes at the other end, so
# one lower bound works for both, and their weighted sum is torch's derivative.
_log.defjvps(lambda tangent, _, p: tangent * (1 - p) / _bounded_variance(p))
_log_of_complement.defjvps(lambda tangent, _, p: -tangent * p / _bounded_variance(p))


def _bounded_variance(p: Array) -> Array:
    return jnp.maximum(p * (1 - p), EPSILON)
