"""Losses for the difference between a prediction and a number."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from .._numerics import Scalar
from ._arguments import as_floats, check_number, check_same_shape
from ._kinks import magnitude
from ._reduction import Reduction, reduce, reduce_weighted


def l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    reduction: Reduction = "mean",
    weight: ArrayLike | None = None,
) -> Array:
    """Absolute error.

    ::

        loss = weight * abs(input - target),    mean = sum(loss) / sum(weight)

    The derivative is 0 where the two are equal.

    **Arguments:**

    - ``input``: floats of any shape.
    - ``target``: numbers of the same shape.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.
    - ``weight``: numbers of the same shape, or None.

    **Returns:** an array of the shape of ``input`` for ``"none"``, otherwise a scalar;
    in the dtype of ``input``.

    **Raises:** `ValueError` if the shapes differ or ``reduction`` is unknown,
    `TypeError` if ``input`` is not of a float dtype.
    """
    dtype, (x, y, w) = as_floats(input=input, target=target, weight=weight)
    check_same_shape(input=x, target=y, weight=w)
    return _weighted_mean_or(reduction, magnitude(x - y), w).astype(dtype)


def mse_loss(
    input: ArrayLike,
    target: ArrayLike,
    reduction: Reduction = "mean",
    weight: ArrayLike | None = None,
) -> Array:
    """Squared error.

    ::

        loss = weight * (input - target)**2,    mean = sum(loss) / sum(weight)

    **Arguments:**

    - ``input``, ``target``, ``reduction``, ``weight``: see `l1_loss`.

    **Returns, raises:** see `l1_loss`.
    """
    dtype, (x, y, w) = as_floats(input=input, target=target, weight=weight)
    check_same_shape(input=x, target=y, weight=w)
    return _weighted_mean_or(reduction, jnp.square(x - y), w).astype(dtype)


def smooth_l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    reduction: Reduction = "mean",
    beta: Scalar = 1.0,
) -> Array:
    """Squared error near 0, absolute error away from it, with slope 1.

    ::

        d = abs(input - target)
        loss = d**2 / (2 * beta) if d < beta else d - beta / 2

    With ``beta = 0`` it is `l1_loss`.

    **Arguments:**

    - ``input``, ``target``, ``reduction``: see `l1_loss`.
    - ``beta``: a number or scalar array, at least 0.

    **Returns, raises:** see `l1_loss`; also `ValueError` if ``beta`` is negative.

    **Source:** Girshick, 2015, "Fast R-CNN".
    """
    check_number("beta", beta, at_least=0)
    dtype, (x, y) = as_floats(input=input, target=target)
    check_same_shape(input=x, target=y)
    is_near, near, far = _split(x - y, beta)
    # For `beta = 0` the divisor does not matter, but must not be 0.
    parabola = near * near / (2 * jnp.where(beta > 0, beta, 1))
    losses = jnp.where(is_near, parabola, far - beta / 2)
    return reduce(losses, reduction).astype(dtype)


def huber_loss(
    input: ArrayLike,
    target: ArrayLike,
    reduction: Reduction = "mean",
    delta: Scalar = 1.0,
    weight: ArrayLike | None = None,
) -> Array:
    """Squared error near 0, absolute error away from it, with slope ``delta``.

    ::

        d = abs(input - target)
        loss = weight * (d**2 / 2 if d < delta else delta * (d - delta / 2))

    As in torch, but unlike in `l1_loss`, the weighted mean is ``sum(loss)`` divided by
    the number of elements.

    **Arguments:**

    - ``input``, ``target``, ``reduction``: see `l1_loss`.
    - ``delta``: a number or scalar array, above 0.
    - ``weight``: see `l1_loss`.

    **Returns, raises:** see `l1_loss`; also `ValueError` if ``delta`` is not above 0.

    **Source:** Huber, 1964, "Robust Estimation of a Location Parameter".
    """
    check_number("delta", delta, above=0)
    dtype, (x, y, w) = as_floats(input=input, target=target, weight=weight)
    check_same_shape(input=x, target=y, weight=w)
    is_near, near, far = _split(x - y, delta)
    losses = jnp.where(is_near, near * near / 2, delta * (far - delta / 2))
    return reduce(losses if w is None else w * losses, reduction).astype(dtype)


def log_cosh_loss(
    input: ArrayLike, target: ArrayLike, reduction: Reduction = "mean"
) -> Array:
    """Squared error near 0, absolute error away from it, and smooth.

    ``loss = log(cosh(input - target))``, which is close to ``d**2 / 2`` for small
    differences ``d`` and to ``abs(d) - log(2)`` for large ones; accurate to rounding
    for both.

    **Arguments:**

    - ``input``, ``target``, ``reduction``: see `l1_loss`.

    **Returns, raises:** see `l1_loss`.

    **Source:** Chen et al., "Log hyperbolic cosine loss improves variational
    auto-encoder", 2019.
    """
    dtype, (x, y) = as_floats(input=input, target=target)
    check_same_shape(input=x, target=y)
    return reduce(_log_cosh(x - y), reduction).astype(dtype)


@jax.custom_jvp
def _log_cosh(x: Array) -> Array:
    size = jnp.abs(x)
    far = size + jnp.log1p(jnp.exp(-2 * size)) - math.log(2)
    # cosh(x) is 1 + 2 * sinh(x / 2)**2.
    near = jnp.log1p(2 * jnp.square(jnp.sinh(0.5 * jnp.minimum(size, 1))))
    return jnp.where(size < 1, near, far)


_log_cosh.defjvps(lambda tangent, _, x: tangent * jnp.tanh(x))


def _split(difference: Array, width: Scalar) -> tuple[Array, Array, Array]:
    """Which are closer than ``width`` to 0; these, and the distances of the others.

    Both are 0 where they do not apply, so that nothing there makes a gradient NaN.
    """
    is_near = jnp.abs(difference) < width
    near = jnp.where(is_near, difference, 0)
    return is_near, near, magnitude(jnp.where(is_near, 0, difference))


def _weighted_mean_or(
    reduction: Reduction, losses: Array, weight: Array | None
) -> Array:
    if weight is None:
        return reduce(losses, reduction)
    return reduce_weighted(weight * losses, weight, reduction)
