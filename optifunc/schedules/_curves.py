"""The curves that schedules are made of, without cancellation.

A value between two others is a weighted sum ``start * left + end * done``, with weights
computed to rounding from whole numbers of steps. In float32, the usual
``(1 + cos(pi * t / T)) / 2`` loses its digits as ``t`` approaches ``T``;
``sin(pi / 2 * (T - t) / T)**2`` is the same and loses none.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
from jax import Array, lax

from .._numerics import Scalar, as_scalar, is_number, sqrt

Curve: TypeAlias = Literal["linear", "cosine", "sqrt", "square"]


def fractions(done: Array, left: Array) -> tuple[Array, Array]:
    """``left`` and ``done`` as fractions of their sum; ``(1, 0)`` if that is 0."""
    done, left = as_scalar(done), as_scalar(left)
    total = done + left
    is_empty = total == 0
    total = jnp.where(is_empty, 1, total)
    return jnp.where(is_empty, 1, left / total), jnp.where(is_empty, 0, done / total)


def raised_cosine(fraction: Array) -> Array:
    """From 0 at 0 to 1 at 1, level at both ends: ``(1 - cos(pi * fraction)) / 2``."""
    return jnp.square(jnp.sin(0.5 * math.pi * fraction))


def between(
    start: Scalar, end: Scalar, done: Array, left: Array, curve: Curve = "linear"
) -> Array:
    """The value ``done`` steps after ``start`` and ``left`` steps before ``end``.

    With ``"cosine"``, along half a wave; with ``"sqrt"``, the remaining fraction is
    ``1 - sqrt(done)``, and with ``"square"``, it is ``1 - done**2``.
    """
    from_start, to_end = fractions(done, left)
    if curve == "cosine":
        from_start, to_end = raised_cosine(from_start), raised_cosine(to_end)
    elif curve == "sqrt":
        root = sqrt(to_end)
        # 1 - sqrt(p) is (1 - p) / (1 + sqrt(p)).
        from_start, to_end = from_start / (1 + root), root
    elif curve == "square":
        from_start, to_end = from_start * (1 + to_end), to_end * to_end
    return as_scalar(start) * from_start + as_scalar(end) * to_end


def power_between(
    start: Scalar, end: Scalar, from_start: Array, to_end: Array, power: Scalar
) -> Array:
    """The point at which ``from_start**power`` of the way to ``end`` remains."""
    exponent = as_scalar(power)
    left = jnp.power(from_start, exponent)
    # 1 - (1 - p)**power, which would lose its digits while p is small.
    early = -jnp.expm1(exponent * jnp.log1p(-jnp.minimum(to_end, 0.5)))
    done = jnp.where(to_end < 0.5, early, 1 - left)
    return as_scalar(start) * left + as_scalar(end) * done


def geometric_between(
    start: Scalar, end: Scalar, from_start: Array, to_end: Array
) -> Array:
    """From ``start`` to ``end`` by equal factors, computed from the nearer end."""
    log_ratio: Any
    if is_number(start) and is_number(end):
        log_ratio = math.log(abs(float(end))) - math.log(abs(float(start)))
    else:
        log_ratio = jnp.log(as_scalar(end) / as_scalar(start))
    is_early = to_end < from_start
    exponent = jnp.where(is_early, to_end, -from_start) * log_ratio
    return jnp.where(is_early, as_scalar(start), as_scalar(end)) * jnp.exp(exponent)


def geometric(ratio: Scalar, count: Array) -> Array:
    """``ratio**count`` for a ``ratio`` and an integer ``count`` of at least 0."""
    if is_number(ratio) and ratio > 0:
        # The logarithm is taken in float64: the 10,000th power of a ratio of 0.999,
        # rounded to float32, would be off by 3e-4.
        return jnp.exp(as_scalar(count) * math.log(ratio))
    return lax.pow(as_scalar(ratio), as_scalar(count))
