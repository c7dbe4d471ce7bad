"""Losses for which of two is closer, or ranked higher."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from .._checks import check_range
from .._numerics import Scalar, is_number, sqrt
from ._arguments import as_floats, check_compatible, check_number, check_same_rank
from ._kinks import magnitude, positive_part, power
from ._reduction import Reduction, reduce


def margin_ranking_loss(
    input1: ArrayLike,
    input2: ArrayLike,
    target: ArrayLike,
    margin: Scalar = 0,
    reduction: Reduction = "mean",
) -> Array:
    """How far two scores fall short of the right order with a margin.

    ::

        loss = max(0, margin - target * (input1 - input2))

    **Arguments:**

    - ``input1``, ``input2``: scores, floats.
    - ``target``: 1 where ``input1`` should be higher, -1 where ``input2`` should be;
      the three have the same rank, and sizes that are equal or 1.
    - ``margin``: a number.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** for ``"none"``, an array of the shape that the three broadcast to,
    otherwise a scalar; in the dtype of ``input1``.

    **Raises:** `ValueError` if the shapes do not fit or ``reduction`` is unknown,
    `TypeError` if ``input1`` is not of a float dtype.
    """
    check_number("margin", margin)
    dtype, (x1, x2, y) = as_floats(input1=input1, input2=input2, target=target)
    check_compatible(input1=x1, input2=x2, target=y)
    return reduce(positive_part(margin - y * (x1 - x2)), reduction).astype(dtype)


def triplet_margin_loss(
    anchor: ArrayLike,
    positive: ArrayLike,
    negative: ArrayLike,
    margin: Scalar = 1.0,
    p: float = 2,
    eps: Scalar = 1e-6,
    swap: bool = False,
    reduction: Reduction = "mean",
) -> Array:
    """How much farther away the positive example is than the negative, with a margin.

    ::

        distance(x, y) = sum(abs(x - y + eps)**p)**(1/p),    over the last dimension
        far = distance(anchor, negative)
        far = min(far, distance(positive, negative)),    if swap
        loss = max(0, margin + distance(anchor, positive) - far)

    The derivative of the distance is 0 where the distance or a difference is 0.

    **Arguments:**

    - ``anchor``, ``positive``, ``negative``: floats of shape ``(N, D)``, ``(D,)`` or
      any other common rank, with sizes that are equal or 1.
    - ``margin``: a number above 0.
    - ``p``: a Python number, at least 0 (the number of nonzero differences) or infinite
      (the largest difference).
    - ``eps``: a number.
    - ``swap``: whether the anchor and the positive example may change places.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** for ``"none"``, an array of the shape of the distances, otherwise a
    scalar; in the dtype of ``anchor``.

    **Raises:** `ValueError` if the shapes do not fit, ``reduction`` is unknown,
    ``margin`` is not above 0 or ``p`` is negative; `TypeError` if ``anchor`` is not of
    a float dtype.

    **Source:** Balntas et al., 2016, "Learning local feature descriptors with triplets
    and shallow convolutional neural networks".
    """
    check_number("margin", margin, above=0)
    check_number("eps", eps)
    if not is_number(p):
        raise TypeError(f"p must be a number and not an array, found {p!r}")
    check_range("p", p, at_least=0)
    dtype, (a, x, y) = as_floats(anchor=anchor, positive=positive, negative=negative)
    _check_vectors(anchor=a, positive=x, negative=y)
    losses = _triplet(partial(_distance, p=p, eps=eps), a, x, y, margin, swap)
    return reduce(losses, reduction).astype(dtype)


def triplet_margin_with_distance_loss(
    anchor: ArrayLike,
    positive: ArrayLike,
    negative: ArrayLike,
    *,
    distance_function: Callable[[Array, Array], Array] | None = None,
    margin: Scalar = 1.0,
    swap: bool = False,
    reduction: Reduction = "mean",
) -> Array:
    """`triplet_margin_loss` with your own distance.

    **Arguments:**

    - ``anchor``, ``positive``, ``negative``: of the same rank, and otherwise as the
      function requires.
    - ``distance_function``: a function of two arrays of at least float32; without it,
      the Euclidean distance of `triplet_margin_loss`.
    - ``margin``, ``swap``, ``reduction``: see `triplet_margin_loss`.

    **Returns, raises:** see `triplet_margin_loss`.
    """
    check_number("margin", margin, above=0)
    dtype, (a, x, y) = as_floats(anchor=anchor, positive=positive, negative=negative)
    if distance_function is None:
        _check_vectors(anchor=a, positive=x, negative=y)
        distance_function = partial(_distance, p=2, eps=1e-6)
    check_same_rank(anchor=a, positive=x, negative=y)
    losses = _triplet(distance_function, a, x, y, margin, swap)
    return reduce(losses, reduction).astype(dtype)


def _check_vectors(*, anchor: Array, positive: Array, negative: Array) -> None:
    if anchor.ndim == 0:
        raise ValueError("anchor must have at least 1 dimension, found a scalar")
    check_compatible(anchor=anchor, positive=positive, negative=negative)


def _triplet(
    distance: Callable[[Array, Array], Array],
    anchor: Array,
    positive: Array,
    negative: Array,
    margin: Scalar,
    swap: bool,
) -> Array:
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = jnp.minimum(far, distance(positive, negative))
    return positive_part(margin + near - far)


def _distance(x: Array, y: Array, *, p: float, eps: Scalar) -> Array:
    """The p-norm of the differences along the last dimension."""
    differences = x - y + eps
    if p == 2:
        return sqrt(jnp.sum(jnp.square(differences), axis=-1))
    sizes = magnitude(differences)
    largest = jnp.max(sizes, axis=-1, keepdims=True, initial=0)
    if p == math.inf:
        return largest[..., 0]
    if p == 0:
        return jnp.sum(sizes != 0, axis=-1, dtype=sizes.dtype)
    # A large power of large numbers would overflow. The scale cancels out, so it can be
    # a constant.
    is_scale = jnp.isfinite(largest) & (largest > 0)
    scale = lax.stop_gradient(jnp.where(is_scale, largest, 1))
    total = jnp.sum(power(sizes / scale, p), axis=-1)
    return scale[..., 0] * power(total, 1 / p)
