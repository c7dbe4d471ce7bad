"""Adamax."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import first_moment, increment, one_minus_power
from .._placement import zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleByAdamaxState(NamedTuple):
    """State of `scale_by_adamax`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``exp_inf``: the decaying maximum of their size.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_inf: NonNegative


@elementwise(outputs=3)
def _adamax(
    updates: Array,
    exp_avg: Array,
    exp_inf: Array,
    *,
    weight1: Array,
    beta2: Array,
    scale: Array,
    eps: Array,
) -> tuple[Array, Array, Array]:
    exp_avg = first_moment(exp_avg, updates, weight1)
    exp_inf = jnp.maximum(beta2 * exp_inf, jnp.abs(updates) + eps)
    return scale * exp_avg / exp_inf, exp_avg, exp_inf


@transformation
class scale_by_adamax(GradientTransformation):
    """Divide the mean of the gradients by a decaying maximum of their size.

    The rule: see `adamax`.

    **Arguments:**

    - ``betas``, ``eps``: see `adamax`.

    **State:** `ScaleByAdamaxState`.

    **Raises:** `ValueError` for a number out of range.
    """

    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-8

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)

    def init(self, params: PyTree) -> ScaleByAdamaxState:
        return ScaleByAdamaxState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_inf=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByAdamaxState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByAdamaxState]:
        beta1, beta2 = self.betas
        step = increment(state.step)
        updates, exp_avg, exp_inf = _adamax(
            updates,
            state.exp_avg,
            state.exp_inf,
            weight1=1 - beta1,
            beta2=beta2,
            scale=1 / one_minus_power(beta1, step),
            eps=self.eps,
        )
        return updates, ScaleByAdamaxState(step, exp_avg, exp_inf)


@factory
def adamax(
    lr: Hyperparameter = 2e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
) -> GradientTransformation:
    """`torch.optim.Adamax`: Adam with the maximum norm instead of the second moment.

    ::

        g = g + weight_decay * p                              (coupled decay)
        m = betas[0] * m + (1 - betas[0]) * g
        w = max(betas[1] * w, |g| + eps)
        d = m / (1 - betas[0]^t) / w
        d = d + weight_decay * p                              (decoupled decay)
        u = -lr * d

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the mean and of the maximum, each in [0, 1).
    - ``eps``: added to the gradient's size.
    - ``weight_decay``: L2 penalty, or with ``decoupled_weight_decay`` the decay of
      `adamw`.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.
    - ``decoupled_weight_decay``: keep the decay out of the moments.

    Each number may be an array or a schedule.

    **State:** `ScaleByAdamaxState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters,
    as in torch; pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing.

    **Source:** Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015,
    section 7.1, [arXiv:1412.6980](https://arxiv.org/abs/1412.6980).
    """
    return assemble(
        scale_by_adamax(betas, eps),
        lr=lr,
        weight_decay=weight_decay,
        decay="decoupled" if decoupled_weight_decay else "coupled",
        mask=mask,
        maximize=maximize,
    )
