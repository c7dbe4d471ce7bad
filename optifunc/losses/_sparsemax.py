"""Losses for sparsemax, the projection of scores onto the simplex."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ..projections import simplex
from ._arguments import as_floats, check_same_shape, check_values
from ._hinges import as_scores_and_labels
from ._labels import in_range, nan_unless
from ._reduction import Reduction, reduce


def sparsemax_loss(
    input: ArrayLike, target: ArrayLike, reduction: Reduction = "mean"
) -> Array:
    """Logistic loss for two classes that is 0 beyond a margin of 1.

    ::

        z = -input where target is 1, input where it is 0
        loss = 0                 for z <= -1
             = (z + 1)**2 / 4    between
             = z                 for z >= 1

    **Arguments:**

    - ``input``: logits, floats of any shape.
    - ``target``: of the same shape, 0 or 1.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** an array of the shape of ``input`` for ``"none"``, otherwise a scalar;
    in the dtype of ``input``.

    **Raises:** `ValueError` if the shapes differ, ``reduction`` is unknown, or
    ``target``, if its values are known, has another number; `TypeError` if ``input`` is
    not of a float dtype.

    **Source:** Martins and Astudillo, "From softmax to sparsemax", 2016; Blondel,
    Martins and Niculae, "Learning with Fenchel-Young losses", 2020.
    """
    dtype, (x, y) = as_floats(input=input, target=target)
    check_values("target", target, lambda y: (y == 0) | (y == 1), "0 or 1")
    check_same_shape(input=x, target=y)
    z = jnp.where(y == 1, -x, x)
    middle = jnp.square(jnp.clip(z, -1, 1) + 1) / 4
    return reduce(jnp.where(z >= 1, z, middle), reduction).astype(dtype)


def multiclass_sparsemax_loss(
    input: ArrayLike, target: ArrayLike, reduction: Reduction = "mean"
) -> Array:
    """The loss whose gradient is sparsemax minus the one-hot label.

    ::

        q = simplex(x)                                    the probabilities
        loss = sum(q * (x - x[target])) + (1 - sum(q * q)) / 2

    It is 0 where the target leads by 1.

    **Arguments:**

    - ``input``: scores x, floats of shape (C,) or (N, C).
    - ``target``: integers in [0, C), of shape () or (N,).
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** for ``"none"`` a loss for each label, otherwise their mean or sum; in
    the dtype of ``input``.

    **Raises:** see `multiclass_hinge_loss`.

    **Source:** Martins and Astudillo, "From softmax to sparsemax: a sparse model of
    attention and multi-label classification", 2016,
    [arXiv:1602.02068](https://arxiv.org/abs/1602.02068).
    """
    dtype, scores, labels, is_target = as_scores_and_labels(input, target)
    sparsemax = jax.vmap(simplex) if scores.ndim == 2 else simplex
    q = sparsemax(scores)
    # The scores relative to that of the label, so that large ones do not cancel.
    lead = scores - jnp.sum(scores, -1, where=is_target, keepdims=True)
    losses = jnp.sum(q * lead, -1) + 0.5 * (1 - jnp.sum(q * q, -1))
    is_valid = in_range(labels, scores.shape[-1])
    losses = nan_unless(is_valid, losses, scores, scores.ndim - 1)
    return reduce(losses, reduction).astype(dtype)
