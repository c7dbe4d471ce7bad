"""Cross-entropy for a choice between two that gives less weight to easy examples."""

from __future__ import annotations

from jax import Array, lax
from jax.typing import ArrayLike

from .._numerics import Scalar
from ._arguments import as_floats, check_number, check_same_shape, check_values
from ._binary import is_probability
from ._kinks import power
from ._reduction import Reduction, reduce
from ._softplus import softplus


def sigmoid_focal_loss(
    input: ArrayLike,
    target: ArrayLike,
    alpha: Scalar | None = None,
    gamma: Scalar = 2.0,
    reduction: Reduction = "mean",
) -> Array:
    """Cross-entropy of ``sigmoid(input)`` with less weight on easy examples.

    ::

        p = sigmoid(input)
        wrong = target * (1 - p) + (1 - target) * p
        loss = wrong**gamma * binary_cross_entropy_with_logits(input, target)
        loss *= alpha * target + (1 - alpha) * (1 - target)        if alpha is given

    **Arguments:**

    - ``input``: logits, floats of any shape.
    - ``target``: of the same shape, in [0, 1].
    - ``alpha``: the weight of targets of 1, in [0, 1]; those of 0 have the weight ``1 -
      alpha``. None: all have the weight 1. (torchvision's default is 0.25.)
    - ``gamma``: the exponent, at least 0; with 0, the loss is the cross-entropy.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** an array of the shape of ``input`` for ``"none"``, otherwise a scalar;
    in the dtype of ``input``.

    **Raises:** `ValueError` if the shapes differ, ``reduction`` is unknown, or
    ``target``, ``alpha`` or ``gamma``, if its value is known, is out of range;
    `TypeError` if ``input`` is not of a float dtype.

    **Source:** Lin et al., "Focal loss for dense object detection", 2017,
    [arXiv:1708.02002](https://arxiv.org/abs/1708.02002).
    """
    check_number("gamma", gamma, at_least=0)
    if alpha is not None:
        check_number("alpha", alpha, at_least=0, at_most=1)
    dtype, (x, y) = as_floats(input=input, target=target)
    check_values("target", target, is_probability, "in [0, 1]")
    check_same_shape(input=x, target=y)
    # Sums of nonnegative terms, so that nothing cancels.
    wrong = y * lax.logistic(-x) + (1 - y) * lax.logistic(x)
    losses = power(wrong, gamma) * (y * softplus(-x) + (1 - y) * softplus(x))
    if alpha is not None:
        losses = losses * (alpha * y + (1 - alpha) * (1 - y))
    return reduce(losses, reduction).astype(dtype)
