"""Scalars of a step and the few formulas that optimizers share, without cancellation.

Scalars (bias corrections, decays, step sizes) are computed in the widest enabled float
dtype, float32 or float64, and rounded to a leaf's dtype only when they are applied to
it. Values that depend only on hyperparameters are computed in float64 on the host if
these are Python numbers.
"""

from __future__ import annotations

import math
import numbers
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array, lax

Scalar: TypeAlias = float | Array


def is_number(value: object) -> bool:
    """Whether ``value`` is known now: a Python or NumPy real number, not an array."""
    return isinstance(value, numbers.Real)


def is_zero(value: object) -> bool:
    """Whether ``value`` is the number zero, which removes a piece of structure.

    A traced zero or an array does not count: its value must not decide what is
    computed.
    """
    return is_number(value) and value == 0


def as_scalar(value: Any) -> Array:
    """``value`` as an array of the widest enabled float dtype."""
    return lax.convert_element_type(value, jnp.result_type(float))


def increment(step: Array) -> Array:
    """``step + 1``, staying at the largest value of its dtype instead of wrapping."""
    largest = jnp.iinfo(step.dtype).max
    return jnp.where(step < largest, step + 1, step)


def log_decay(beta: Scalar) -> Scalar:
    """``log(beta)``; exact up to rounding for ``beta`` near 1.

    An array is bounded below by its rounding unit, so that it has a derivative at 0.
    """
    if is_number(beta):
        return math.log(beta) if beta > 0 else -math.inf
    beta = as_scalar(beta)
    bounded = jnp.maximum(beta, jnp.finfo(beta.dtype).epsneg)
    # `beta - 1` is exact for beta in [0.5, 2]; `log(beta)` would lose half the digits.
    return jnp.log1p(bounded - 1)


def one_minus_power(beta: Scalar, step: Array) -> Array:
    """``1 - beta**step`` for ``step >= 1``, to rounding.

    In float32 the naive formula is off by 1e-5 for ``beta = 0.999`` and small steps.
    """
    t = as_scalar(step)
    near_one = -jnp.expm1(t * log_decay(beta))
    if is_number(beta):
        return near_one
    # Below 1/2, the power causes no cancellation, and has the right derivative at 0.
    beta = as_scalar(beta)
    is_small = beta < 0.5
    return jnp.where(is_small, 1 - jnp.where(is_small, beta, 0) ** t, near_one)


def lerp(start: Array, end: Array, weight: Array) -> Array:
    """``start + weight * (end - start)``, exact at both ends as `torch.lerp` is."""
    difference = end - start
    return jnp.where(
        jnp.abs(weight) < 0.5,
        start + weight * difference,
        end - (1 - weight) * difference,
    )


def first_moment(average: Array, grad: Array, weight: Array) -> Array:
    """``(1 - weight) * average + weight * grad``, without bias.

    Rounded to float32, 0.999 and 0.001 add up to 1 + 1.3e-8: an average of 1000
    steps would be too large by 1.3e-5. Here, exactly what `weight` adds is subtracted.
    """
    return average - weight * average + weight * grad


def squared(grad: Array, by_modulus: bool = False) -> Array:
    """``grad**2``; optionally ``|grad|**2`` for pairs of real and imaginary parts."""
    square = grad * grad
    if not by_modulus:
        return square
    return jnp.broadcast_to(jnp.sum(square, axis=0, keepdims=True), square.shape)


def second_moment(
    average: Array, grad: Array, weight: Array, by_modulus: bool = False
) -> Array:
    """``(1 - weight) * average + weight * grad**2``, without bias."""
    # An average that has overflowed stays infinite; inf - inf would be NaN.
    forgotten = jnp.minimum(weight * average, jnp.finfo(average.dtype).max)
    if by_modulus:
        return average - forgotten + weight * squared(grad, by_modulus)
    return average - forgotten + weight * grad * grad


@jax.custom_jvp
def sqrt(x: Array) -> Array:
    """The square root, with derivative 0 at 0.

    An accumulator is exactly 0 where every gradient so far was 0; the derivative of the
    update with respect to a hyperparameter is then 0 instead of ``inf * 0``.
    """
    return lax.sqrt(x)


@sqrt.defjvp
def _sqrt_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    root = sqrt(primals[0])
    slope = jnp.where(root > 0, 0.5 / jnp.where(root > 0, root, 1), 0)
    return root, slope * tangents[0]
