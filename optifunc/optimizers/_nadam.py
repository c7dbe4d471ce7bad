"""NAdam."""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import (
    Scalar,
    as_scalar,
    first_moment,
    increment,
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


class ScaleByNadamState(NamedTuple):
    """State of `scale_by_nadam`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``mu_product``: float32 [] as in torch, the product of the momenta so far.
    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``exp_avg_sq``: the same for their squares.
    """

    step: Shared
    mu_product: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]


@elementwise(outputs=3)
def _nadam(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    *,
    weight1: Array,
    weight2: Array,
    grad_share: Array,
    average_share: Array,
    eps: Array,
) -> tuple[Array, Array, Array]:
    exp_avg = first_moment(exp_avg, updates, weight1)
    exp_avg_sq = second_moment(exp_avg_sq, updates, weight2)
    mean = grad_share * updates + average_share * exp_avg
    return mean / (sqrt(exp_avg_sq) + eps), exp_avg, exp_avg_sq


def nadam_momentum(
    step: Array, beta1: Scalar, momentum_decay: Scalar
) -> tuple[Array, Array]:
    """The momentum of step ``t`` and 1 minus it, without cancellation.

    ``beta1 * (1 - 0.96^(t * momentum_decay) / 2)``
    """
    decay = 0.5 * jnp.exp(as_scalar(step) * (momentum_decay * math.log(0.96)))
    return beta1 * (1 - decay), (1 - beta1) + beta1 * decay


def nadam_shares(
    step: Array, mu_product: Array, beta1: Scalar, momentum_decay: Scalar
) -> tuple[Array, Array, Array]:
    """The weights of gradient and average in step ``t``, and the next product.

    ``(1 - mu_t) / (1 - mu_1 ... mu_t)`` and ``mu_{t+1} / (1 - mu_1 ... mu_{t+1})``;
    ``mu_product`` is ``mu_1 ... mu_{t-1}``.
    """
    mu, complement = nadam_momentum(step, beta1, momentum_decay)
    mu_next, _ = nadam_momentum(as_scalar(step) + 1, beta1, momentum_decay)
    mu_product = mu_product * mu.astype(mu_product.dtype)
    product = as_scalar(mu_product)
    return complement / (1 - product), mu_next / (1 - product * mu_next), mu_product


@transformation
class scale_by_nadam(GradientTransformation):
    """Adam's direction with Nesterov's look ahead.

    The rule: see `nadam`.

    **Arguments:**

    - ``betas``, ``eps``, ``momentum_decay``: see `nadam`.

    **State:** `ScaleByNadamState`.

    **Raises:** `ValueError` for a number out of range.
    """

    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-8
    momentum_decay: Value = 4e-3

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        check_range("momentum_decay", self.momentum_decay, at_least=0)

    def init(self, params: PyTree) -> ScaleByNadamState:
        return ScaleByNadamState(
            step=jnp.zeros((), jnp.int32),
            mu_product=jnp.ones((), jnp.float32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByNadamState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByNadamState]:
        beta1, beta2 = self.betas
        step = increment(state.step)
        grad_share, average_share, mu_product = nadam_shares(
            step, state.mu_product, beta1, self.momentum_decay
        )
        root_correction2 = jnp.sqrt(one_minus_power(beta2, step))
        updates, exp_avg, exp_avg_sq = _nadam(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            weight1=1 - beta1,
            weight2=1 - beta2,
            grad_share=root_correction2 * grad_share,
            average_share=root_correction2 * average_share,
            eps=root_correction2 * self.eps,
        )
        return updates, ScaleByNadamState(step, mu_product, exp_avg, exp_avg_sq)


@factory
def nadam(
    lr: Hyperparameter = 2e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    momentum_decay: Hyperparameter = 4e-3,
    decoupled_weight_decay: bool = False,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """`torch.optim.NAdam`: Adam with Nesterov momentum that grows over the steps.

    ::

        g = g + weight_decay * p                              (coupled decay)
        mu_t = betas[0] * (1 - 0.96^(t * momentum_decay) / 2)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g^2
        d = ((1 - mu_t) / (1 - mu_1 ... mu_t) * g
             + mu_{t+1} / (1 - mu_1 ... mu_{t+1}) * m)
            / (sqrt(v / (1 - betas[1]^t)) + eps)
        d = d + weight_decay * p                              (decoupled decay)
        u = -lr * d

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the moments, each in [0, 1).
    - ``eps``: added to the corrected root.
    - ``weight_decay``: L2 penalty, or with ``decoupled_weight_decay`` the decay of
      `adamw`.
    - ``momentum_decay``: how fast the momentum grows from half of ``betas[0]`` toward
      all of it.
    - ``decoupled_weight_decay``: keep the decay out of the moments.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByNadamState`, its trees in the parameters' shapes and dtypes, and
    the product of the momenta in float32 as in torch, for any dtype of these.

    **Complex parameters:** real and imaginary parts are treated as separate parameters,
    as in torch; pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range.

    **Source:** Dozat, "Incorporating Nesterov Momentum into Adam",
    [ICLR workshop 2016](https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ).
    """
    return assemble(
        scale_by_nadam(betas, eps, momentum_decay),
        lr=lr,
        weight_decay=weight_decay,
        decay="decoupled" if decoupled_weight_decay else "coupled",
        mask=mask,
        maximize=maximize,
    )
