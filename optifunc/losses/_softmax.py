"""Variants of the cross-entropy of a softmax."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from .._numerics import Scalar
from ._arguments import as_floats, check_number
from ._labels import as_integers, check_labels, in_range, nan_unless
from ._reduction import Reduction, reduce


def poly_loss(
    input: ArrayLike,
    target: ArrayLike,
    epsilon: Scalar = 2.0,
    reduction: Reduction = "mean",
) -> Array:
    """The cross-entropy with more of the first term of its series: PolyLoss.

    ::

        p = softmax(input)
        loss = cross_entropy(input, target) + epsilon * sum(target * (1 - p))

    **Arguments:**

    - ``input``: logits, floats of shape (C,), (N, C) or (N, C, d1, ..., dK).
    - ``target``: class labels, integers in [0, C) of that shape without C; or class
      probabilities with the shape of ``input``.
    - ``epsilon``: the coefficient of the term, at least -1.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** for ``"none"`` a loss for each distribution, otherwise their mean or
    sum; in the dtype of ``input``.

    **Raises:** `TypeError` for other dtypes; `ValueError` for other shapes, a label or
    an ``epsilon`` out of range or an unknown ``reduction``. Under `jit`, where labels
    cannot be checked, one out of range makes the loss and its gradient NaN.

    **Source:** Leng et al., "PolyLoss: a polynomial expansion perspective of
    classification loss functions", 2022,
    [arXiv:2204.12511](https://arxiv.org/abs/2204.12511).
    """
    check_number("epsilon", epsilon, at_least=-1)
    dtype, x, shares, is_valid, axis = _distributions(input, target)
    log_p = jax.nn.log_softmax(x, axis)
    # 1 - p, without cancellation for p near 1.
    losses = jnp.sum(shares * (-log_p - epsilon * jnp.expm1(log_p)), axis)
    return reduce(nan_unless(is_valid, losses, x, axis), reduction).astype(dtype)


def safe_softmax_cross_entropy(
    input: ArrayLike, target: ArrayLike, reduction: Reduction = "mean"
) -> Array:
    """`cross_entropy` that accepts logits of minus infinity, for impossible classes.

    ``loss = -sum(target * log_softmax(input))``, where ``0 * log(0)`` is 0. The
    gradient is ``softmax(input) * sum(target) - target``, which is 0 for such a class.
    (With `cross_entropy` of probabilities, both are NaN, as in torch.)

    **Arguments:**

    - ``input``: logits, floats of shape (C,), (N, C) or (N, C, d1, ..., dK); finite or
      minus infinity, but not all infinite for one distribution.
    - ``target``: see `poly_loss`. For an impossible class, a target above 0 has an
      infinite loss.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns, raises:** see `poly_loss`.
    """
    dtype, x, shares, is_valid, axis = _distributions(input, target)
    log_p = jax.nn.log_softmax(x, axis)
    is_nothing = (shares == 0) & jnp.isneginf(log_p)
    losses = -jnp.sum(shares * jnp.where(is_nothing, 0, log_p), axis)
    finite = jnp.where(jnp.isneginf(x), 0, x)
    return reduce(nan_unless(is_valid, losses, finite, axis), reduction).astype(dtype)


def _distributions(input: Any, target: Any) -> tuple[Any, Array, Array, Array, int]:
    """The dtype, logits, targets, which of these are valid, and the class axis."""
    dtype, (x,) = as_floats(input=input)
    if x.ndim == 0 or 0 in x.shape[:2]:
        raise ValueError(
            f"input must be of shape (C,) or (N, C, ...) with C > 0, found {x.shape}"
        )
    axis = min(x.ndim - 1, 1)
    without = x.shape[:axis] + x.shape[axis + 1 :]
    if jnp.shape(target) == without:
        labels = as_integers("target", target)
        check_labels("target", labels, x.shape[axis])
        label = lax.broadcasted_iota(labels.dtype, x.shape, axis)
        shares = (label == jnp.expand_dims(labels, axis)).astype(x.dtype)
        return dtype, x, shares, in_range(labels, x.shape[axis]), axis
    _, (_, shares) = as_floats(input=x, target=target)
    if shares.shape != x.shape:
        raise ValueError(
            f"target must be labels of shape {without} or class probabilities of shape "
            f"{x.shape}, found {shares.shape}"
        )
    if not jnp.issubdtype(jnp.asarray(target).dtype, jnp.floating):
        raise TypeError(
            "target must be of a floating dtype where it is class probabilities, found "
            f"{jnp.asarray(target).dtype}"
        )
    return dtype, x, shares, jnp.ones(without, bool), axis
