"""Losses for whether two examples are alike."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from .._numerics import Scalar, sqrt
from ._arguments import (
    as_floats,
    check_compatible,
    check_number,
    check_same_shape,
    check_values,
)
from ._kinks import EPSILON, positive_part
from ._reduction import Reduction, reduce


def hinge_embedding_loss(
    input: ArrayLike,
    target: ArrayLike,
    margin: Scalar = 1.0,
    reduction: Reduction = "mean",
) -> Array:
    """A distance, or how much it falls short of a margin.

    ::

        loss = input                     where target is 1
               max(0, margin - input)    where target is -1

    **Arguments:**

    - ``input``: distances, floats of any shape.
    - ``target``: of the same shape, 1 (alike) or -1.
    - ``margin``: a number.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** an array of the shape of ``input`` for ``"none"``, otherwise a scalar;
    in the dtype of ``input``.

    **Raises:** `ValueError` if the shapes differ, ``reduction`` is unknown, or
    ``target``, if its values are known, has another number; `TypeError` if ``input`` is
    not of a float dtype.

    **Source:** Hadsell et al., 2006, "Dimensionality Reduction by Learning an Invariant
    Mapping".
    """
    check_number("margin", margin)
    dtype, (x, y) = as_floats(input=input, target=target)
    check_values("target", target, is_sign, "1 or -1")
    check_same_shape(input=x, target=y)
    alike = jnp.where(y != -1, x, 0)
    different = jnp.where(y != 1, positive_part(margin - x), 0)
    return reduce(alike + different, reduction).astype(dtype)


def cosine_embedding_loss(
    input1: ArrayLike,
    input2: ArrayLike,
    target: ArrayLike,
    margin: Scalar = 0,
    reduction: Reduction = "mean",
) -> Array:
    """How far the cosine of two vectors' angle is from what it should be.

    ::

        cos = sum(x * y) / sqrt((sum(x * x) + 1e-12) * (sum(y * y) + 1e-12))
        loss = 1 - cos                   where target is 1
               max(0, cos - margin)      where target is -1

    **Arguments:**

    - ``input1``, ``input2``: floats of the same shape, ``(N, D)`` or ``(D,)``.
    - ``target``: of shape ``(N,)`` or ``()``, 1 (alike) or -1.
    - ``margin``: a number.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** an array of the shape of ``target`` for ``"none"``, otherwise a scalar;
    in the dtype of ``input1``.

    **Raises:** `ValueError` if the shapes do not fit, ``reduction`` is unknown, or
    ``target``, if its values are known, has another number; `TypeError` if ``input1``
    is not of a float dtype.
    """
    check_number("margin", margin)
    dtype, (x1, x2, y) = as_floats(input1=input1, input2=input2, target=target)
    check_values("target", target, is_sign, "1 or -1")
    if x1.ndim not in (1, 2):
        raise ValueError(f"input1 must have 1 or 2 dimensions, found shape {x1.shape}")
    check_same_shape(input1=x1, input2=x2)
    if y.shape != x1.shape[:-1]:
        raise ValueError(
            f"target must be of shape {x1.shape[:-1]}, found shape {y.shape}"
        )
    # Two roots, because the root of the product could overflow.
    cosine = jnp.sum(x1 * x2, axis=-1) / (_length(x1) * _length(x2))
    alike = jnp.where(y == 1, 1 - cosine, 0)
    different = jnp.where(y == -1, positive_part(cosine - margin), 0)
    return reduce(alike + different, reduction).astype(dtype)


def cosine_similarity(
    input1: ArrayLike, input2: ArrayLike, dim: int = 1, eps: Scalar = 1e-8
) -> Array:
    """The cosine of the angle between vectors: `torch.nn.functional.cosine_similarity`.

    ::

        cos = sum(x * y) / (max(norm(x), eps) * max(norm(y), eps))    along one axis

    This is not a loss: it is larger for similar vectors. For a loss, see
    `cosine_embedding_loss`.

    **Arguments:**

    - ``input1``, ``input2``: floats of the same rank, with sizes that are equal or 1.
    - ``dim``: the axis of the vectors.
    - ``eps``: the smallest length to divide by, at least 0.

    **Returns:** an array without that axis, in the dtype of ``input1``. Its derivative
    at a zero vector is finite if ``eps`` is above 0.

    **Raises:** `ValueError` if the shapes do not fit, ``dim`` is not one of their axes
    or ``eps`` is negative; `TypeError` if ``input1`` is not of a float dtype.
    """
    check_number("eps", eps, at_least=0)
    dtype, (x, y) = as_floats(input1=input1, input2=input2)
    check_compatible(input1=x, input2=y)
    if not -x.ndim <= dim < x.ndim:
        raise ValueError(
            f"dim must be an axis of input1, in [{-x.ndim}, {x.ndim}), found {dim}"
        )
    lengths = (_at_least(jnp.sum(v * v, dim), eps) for v in (x, y))
    return (jnp.sum(x * y, dim) / math.prod(lengths)).astype(dtype)


def _at_least(square: Array, eps: Scalar) -> Array:
    """The larger of the square root and ``eps``."""
    return jnp.maximum(sqrt(square), eps)


def _length(x: Array) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(x), axis=-1) + EPSILON)


def is_sign(y: Array) -> Array:
    """Whether each number is 1 or -1."""
    return jnp.abs(y) == 1
