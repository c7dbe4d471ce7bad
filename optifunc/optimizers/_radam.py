"""RAdam."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import (
    as_scalar,
    first_moment,
    increment,
    log_decay,
    one_minus_power,
    second_moment,
    sqrt,
)
from .._placement import zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleByRadamState(NamedTuple):
    """State of `scale_by_radam`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``exp_avg_sq``: the same for their squares.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]


@elementwise(outputs=3)
def _radam(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    *,
    weight1: Array,
    weight2: Array,
    scale: Array,
    grad_scale: Array | None,
    rectified: Array,
    eps: Array,
    eps_root: Array | None,
) -> tuple[Array, Array, Array]:
    exp_avg = first_moment(exp_avg, updates, weight1)
    exp_avg_sq = second_moment(exp_avg_sq, updates, weight2)
    mean, adapted = scale * exp_avg, scale * rectified * exp_avg
    if grad_scale is not None:
        mean = mean + grad_scale * updates
        adapted = adapted + grad_scale * rectified * updates
    square = exp_avg_sq if eps_root is None else exp_avg_sq + eps_root
    direction = jnp.where(rectified > 0, adapted / (sqrt(square) + eps), mean)
    return direction, exp_avg, exp_avg_sq


# coth(x) - 1/x = sum_k c_k x^(2k + 1) with c_k = 2^n B_n / n!, n = 2k + 2, and the
# Bernoulli numbers B; neighbors have a ratio near -1 / pi^2.
_LANGEVIN = (
    1 / 3,
    -1 / 45,
    2 / 945,
    -1 / 4725,
    2 / 93555,
    -1382 / 638512875,
    4 / 18243225,
    -3617 / 162820783125,
    87734 / 38979295480125,
    -349222 / 1531329465290625,
)


def _langevin(x: Array) -> Array:
    """``coth(x) - 1/x`` for ``0 <= x <= 1``, by its series."""
    square = x * x
    total = jnp.zeros_like(x)
    for coefficient in reversed(_LANGEVIN):
        total = total * square + coefficient
    return x * total


def approximated_sma_length(beta2: Any, step: Array) -> tuple[Array, Array]:
    """RAdam's ``rho_t`` and ``rho_inf``, without cancellation.

    ``rho_t = rho_inf - 2 t beta2^t / (1 - beta2^t)`` and ``rho_inf = 2 / (1 - beta2) -
    1`` subtracts two numbers near 2000 to get one near ``t``. With ``r = -log(beta2)``
    and ``y = t r / 2`` both are hyperbolic cotangents, ``rho_inf = coth(r / 2)`` and
    ``2 t beta2^t / (1 - beta2^t) = t (coth(y) - 1)``, whose poles cancel exactly:

        rho_t = L(r / 2) + t (1 - L(y)),    L(x) = coth(x) - 1 / x
    """
    rate = as_scalar(-log_decay(beta2))
    t = as_scalar(step)
    y = 0.5 * rate * t
    small = jnp.minimum(y, 1)
    large = jnp.maximum(y, 1)
    half_rate = jnp.minimum(0.5 * rate, 1)
    rho_inf = jnp.where(
        0.5 * rate < 1,
        1 / half_rate + _langevin(half_rate),
        1 / jnp.tanh(jnp.maximum(0.5 * rate, 1)),
    )
    first = jnp.where(0.5 * rate < 1, _langevin(half_rate), rho_inf - 1 / (0.5 * rate))
    # Use the falling exponential, which has a derivative where the rising one
    # overflows.
    beyond_pole = 2 * jnp.exp(-2 * large) / jnp.expm1(-2 * large)
    complement = jnp.where(y < 1, 1 - _langevin(small), 1 / large + beyond_pole)
    return first + t * complement, rho_inf


def squared_rectification(beta2: Any, step: Array, above: Any) -> Array:
    """The square of RAdam's ``r_t`` if ``rho_t > above``, else 0; ``above`` >= 4."""
    rho_t, rho_inf = approximated_sma_length(beta2, step)
    tractable = rho_t > above
    rho = jnp.where(tractable, rho_t, 6)
    limit = jnp.where(tractable, rho_inf, 6)
    square = (rho - 4) / (limit - 4) * ((rho - 2) / (limit - 2)) * (limit / rho)
    return jnp.where(tractable, square, 0)


def rectification(beta2: Any, step: Array, above: Any = 5) -> Array:
    """The factor of ``m / (sqrt(v) + eps)`` in RAdam, or 0 if it is not used.

    ``r_t sqrt(1 - beta2^t)``, where ``r_t`` is the variance rectification term, if
    ``rho_t > above``.
    """
    square = squared_rectification(beta2, step, above)
    return sqrt(square * one_minus_power(beta2, step))


@transformation
class scale_by_radam(GradientTransformation):
    """Adam's direction, rectified; only the mean in the first steps.

    The rule: see `radam`.

    **Arguments:**

    - ``betas``, ``eps``, ``eps_after_correction``: see `radam`.
    - ``nesterov``: look ahead: use the mean after repeating the same gradient.
    - ``eps_root``: added to the corrected square under the root; None: nothing.
    - ``threshold``: the length of the moving average, at least 4, above which the
      direction is rectified.

    **State:** `ScaleByRadamState`.

    **Raises:** `ValueError` for a number out of range.
    """

    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-8
    eps_after_correction: bool = static(default=False)
    _: dataclasses.KW_ONLY
    nesterov: bool = static(default=False)
    eps_root: Value | None = None
    threshold: Value = 5.0

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        if self.eps_root is not None:
            check_range("eps_root", self.eps_root, at_least=0)
        check_range("threshold", self.threshold, at_least=4)

    def init(self, params: PyTree) -> ScaleByRadamState:
        return ScaleByRadamState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByRadamState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByRadamState]:
        beta1, beta2 = self.betas
        step = increment(state.step)
        scale = 1 / one_minus_power(beta1, step)
        correction2 = one_minus_power(beta2, step)
        eps = as_scalar(self.eps)
        if self.eps_after_correction:
            eps = eps * jnp.sqrt(correction2)
        grad_scale = None
        if self.nesterov:
            grad_scale = (1 - beta1) * scale
            scale = beta1 / one_minus_power(beta1, as_scalar(step) + 1)
        updates, exp_avg, exp_avg_sq = _radam(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            weight1=1 - beta1,
            weight2=1 - beta2,
            scale=scale,
            grad_scale=grad_scale,
            rectified=rectification(beta2, step, as_scalar(self.threshold)),
            eps=eps,
            eps_root=None if self.eps_root is None else correction2 * self.eps_root,
        )
        return updates, ScaleByRadamState(step, exp_avg, exp_avg_sq)


@factory
def radam(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    decoupled_weight_decay: bool = False,
    *,
    eps_after_correction: bool = False,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """`torch.optim.RAdam`: Adam that waits until its second moment can be trusted.

    ::

        g = g + weight_decay * p                              (coupled decay)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g^2
        rho_inf = 2 / (1 - betas[1]) - 1
        rho_t = rho_inf - 2 t betas[1]^t / (1 - betas[1]^t)
        r_t = sqrt((rho_t - 4)(rho_t - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho_t))
        d = m / (1 - betas[0]^t) * r_t * sqrt(1 - betas[1]^t) / (sqrt(v) + eps)
            if rho_t > 5,  else  m / (1 - betas[0]^t)
        d = d + weight_decay * p                              (decoupled decay)
        u = -lr * d

    ``eps`` is added before the correction of the root, as in torch but unlike Adam;
    with ``eps_after_correction``, after it, as in optax. ``rho_t`` is computed without
    cancellation.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the moments, each in [0, 1).
    - ``eps``: added to the root.
    - ``weight_decay``: L2 penalty, or with ``decoupled_weight_decay`` the decay of
      `adamw`.
    - ``decoupled_weight_decay``: keep the decay out of the moments.
    - ``eps_after_correction``: add ``eps`` to the corrected root.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByRadamState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters,
    as in torch; pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range.

    **Source:** Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond",
    2020, [arXiv:1908.03265](https://arxiv.org/abs/1908.03265).
    """
    return assemble(
        scale_by_radam(betas, eps, eps_after_correction),
        lr=lr,
        weight_decay=weight_decay,
        decay="decoupled" if decoupled_weight_decay else "coupled",
        mask=mask,
        maximize=maximize,
    )
