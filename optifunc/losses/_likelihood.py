"""Losses for distributions: negative log-likelihoods, and a divergence of two."""

from __future__ import annotations

import math
from typing import Literal

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from .._checks import check_choice
from .._numerics import Scalar
from ._arguments import (
    as_floats,
    broadcast_to,
    check_number,
    check_same_shape,
    check_values,
)
from ._reduction import Reduction, reduce


def poisson_nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    log_input: bool = True,
    full: bool = False,
    eps: Scalar = 1e-8,
    reduction: Reduction = "mean",
) -> Array:
    """Negative log-likelihood of Poisson-distributed counts.

    ::

        loss = exp(input) - target * log(exp(input))    if log_input else
               input - target * log(input + eps)
        loss += target * log(target) - target + log(2 * pi * target) / 2
                where target > 1, if full

    The last term is Stirling's approximation of ``log(target!)``.

    **Arguments:**

    - ``input``: the expected counts or, with ``log_input``, their logarithms, floats of
      any shape.
    - ``target``: counts of the same shape.
    - ``log_input``, ``full``: as above.
    - ``eps``: a small number that avoids ``log(0)``.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** an array of the shape of ``input`` for ``"none"``, otherwise a scalar;
    in the dtype of ``input``.

    **Raises:** `ValueError` if the shapes differ or ``reduction`` is unknown,
    `TypeError` if ``input`` is not of a float dtype.
    """
    check_number("eps", eps)
    dtype, (x, y) = as_floats(input=input, target=target)
    check_same_shape(input=x, target=y)
    losses = jnp.exp(x) - y * x if log_input else x - y * jnp.log(x + eps)
    if full:
        is_large = y > 1
        n = jnp.where(is_large, y, 1)  # avoids the logarithm of 0 and its derivative
        stirling = n * jnp.log(n) - n + 0.5 * jnp.log(2 * math.pi * n)
        losses = losses + jnp.where(is_large, stirling, 0)
    return reduce(losses, reduction).astype(dtype)


def gaussian_nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    var: ArrayLike,
    full: bool = False,
    eps: Scalar = 1e-6,
    reduction: Reduction = "mean",
) -> Array:
    """Negative log-likelihood of normally distributed numbers.

    ::

        v = max(var, eps)
        loss = (log(v) + (input - target)**2 / v) / 2
        loss += log(2 * pi) / 2, if full

    The bound ``eps`` is not differentiated: below it, ``var`` gets the gradient of
    ``v``.

    **Arguments:**

    - ``input``: expectations, floats of any shape.
    - ``target``: numbers of the same shape, or with size 1 in some dimensions.
    - ``var``: variances, at least 0: a number, or an array with the shape of ``input``,
      without the last dimension, or with size 1 in one dimension.
    - ``full``, ``eps``: as above.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** an array of the shape of ``input`` for ``"none"``, otherwise a scalar;
    in the dtype of ``input``.

    **Raises:** `ValueError` if the shapes do not fit, ``reduction`` is unknown, or
    ``var``, if its values are known, is negative; `TypeError` if ``input`` is not of a
    float dtype.

    **Source:** Nix and Weigend, 1994, "Estimating the mean and variance of the target
    probability distribution".
    """
    check_number("eps", eps)
    dtype, (x, y, v) = as_floats(input=input, target=target, var=var)
    check_values("var", var, lambda v: ~(v < 0), "at least 0")
    if y.ndim != x.ndim:
        check_same_shape(input=x, target=y)
    y = broadcast_to(x.shape, "target", y)
    v = _variance_of_each(v, x.shape)
    bounded = jnp.where(v < eps, eps + (v - lax.stop_gradient(v)), v)
    losses = 0.5 * (jnp.log(bounded) + jnp.square(x - y) / bounded)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return reduce(losses, reduction).astype(dtype)


def _variance_of_each(var: Array, shape: tuple[int, ...]) -> Array:
    if var.shape in (shape, ()):
        return jnp.broadcast_to(var, shape)
    if var.shape == shape[:-1]:
        return jnp.broadcast_to(var[..., None], shape)
    different = [v for v, size in zip(var.shape, shape, strict=False) if v != size]
    if var.ndim == len(shape) and different == [1]:
        return jnp.broadcast_to(var, shape)
    raise ValueError(
        f"var must be a number, or of the shape of input, {shape}, or of that without "
        f"the last dimension or with one dimension of size 1, found shape {var.shape}"
    )


def kl_div(
    input: ArrayLike,
    target: ArrayLike,
    reduction: Reduction | Literal["batchmean"] = "mean",
    log_target: bool = False,
) -> Array:
    """Kullback-Leibler divergence of ``target`` from ``exp(input)``.

    ::

        loss = target * (log(target) - input)
        loss = exp(target) * (target - input), if log_target

    ``0 * log(0)`` is 0, and so is its derivative. The reduction ``"batchmean"`` is the
    sum divided by the size of the first dimension: the divergence. ``"mean"``, the
    default as in torch, also divides by the number of classes.

    **Arguments:**

    - ``input``: logarithms of probabilities, floats of any shape.
    - ``target``: of the same shape, probabilities or, with ``log_target``, their
      logarithms.
    - ``reduction``: ``"none"``, ``"mean"``, ``"sum"`` or ``"batchmean"``.
    - ``log_target``: whether ``target`` holds logarithms.

    **Returns:** an array of the shape of ``input`` for ``"none"``, otherwise a scalar;
    in the dtype of ``input``.

    **Raises:** `ValueError` if the shapes differ or ``reduction`` is unknown,
    `TypeError` if ``input`` is not of a float dtype.

    **Source:** Kullback and Leibler, 1951, "On Information and Sufficiency".
    """
    dtype, (x, y) = as_floats(input=input, target=target)
    check_same_shape(input=x, target=y)
    return _reduced(_divergences(x, y, log_target), reduction).astype(dtype)


def generalized_kl_div(
    input: ArrayLike,
    target: ArrayLike,
    reduction: Reduction | Literal["batchmean"] = "mean",
    log_target: bool = False,
) -> Array:
    """Kullback-Leibler divergence of numbers that need not sum to 1.

    ::

        loss = target * (log(target) - input) - target + exp(input)

    Each element is 0 where ``target`` is ``exp(input)`` and positive elsewhere. For
    `kl_div`, this holds only for the sum over two distributions.

    **Arguments:**

    - ``input``, ``target``, ``reduction``, ``log_target``: see `kl_div`.

    **Returns, raises:** see `kl_div`.

    **Source:** Boyd and Vandenberghe, "Convex Optimization", 2004, page 90.
    """
    dtype, (x, y) = as_floats(input=input, target=target)
    check_same_shape(input=x, target=y)
    losses = _divergences(x, y, log_target)
    losses = losses + (jnp.exp(x) - (jnp.exp(y) if log_target else y))
    return _reduced(losses, reduction).astype(dtype)


def _divergences(x: Array, y: Array, log_target: bool) -> Array:
    if log_target:
        return jnp.exp(y) * (y - x)
    return y * jnp.log(jnp.where(y == 0, 1, y)) - y * x


def _reduced(losses: Array, reduction: Reduction | Literal["batchmean"]) -> Array:
    check_choice("reduction", reduction, ("none", "mean", "sum", "batchmean"))
    if reduction == "batchmean":
        return jnp.sum(losses) / (losses.shape[0] if losses.ndim > 0 else 1)
    return reduce(losses, reduction)
