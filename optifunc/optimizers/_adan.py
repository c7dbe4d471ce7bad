"""Adan."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_decay_rates, check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import (
    first_moment,
    increment,
    is_zero,
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
from ._proximal import step_with_proximal_decay


class ScaleByAdanState(NamedTuple):
    """State of `scale_by_adan`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``exp_avg_diff``: the same for the differences of successive gradients.
    - ``exp_avg_sq``: the same for the squares of the gradients that look ahead.
    - ``neg_pre_grad``: the negative of the last gradient, as in the authors' code.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_diff: PerParameter
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 2)]
    neg_pre_grad: PerParameter


@elementwise(outputs=5)
def _adan(
    updates: Array,
    exp_avg: Array,
    exp_avg_diff: Array,
    exp_avg_sq: Array,
    neg_pre_grad: Array,
    *,
    weight1: Array,
    weight2: Array,
    weight3: Array,
    correction1: Array,
    correction2: Array,
    correction3: Array,
    difference_weight: Array,
    is_later: Array,
    eps: Array,
    eps_root: Array,
) -> tuple[Array, Array, Array, Array, Array]:
    difference = is_later * (updates + neg_pre_grad)
    ahead = updates + difference_weight * difference
    exp_avg = first_moment(exp_avg, updates, weight1)
    exp_avg_diff = first_moment(exp_avg_diff, difference, weight2)
    exp_avg_sq = second_moment(exp_avg_sq, ahead, weight3)
    mean = exp_avg / correction1 + difference_weight / correction2 * exp_avg_diff
    root = sqrt(exp_avg_sq / correction3 + eps_root)
    return mean / (root + eps), exp_avg, exp_avg_diff, exp_avg_sq, -updates


@transformation
class scale_by_adan(GradientTransformation):
    """Means of gradients and of their differences, divided by their size.

    The rule: see `adan`.

    **Arguments:**

    - ``betas``, ``eps``, ``eps_root``, ``difference_weight``: see `adan`.

    **State:** `ScaleByAdanState`.

    **Raises:** `ValueError` for a number out of range.
    """

    betas: tuple[Value, Value, Value] = (0.98, 0.92, 0.99)
    eps: Value = 1e-8
    eps_root: Value = 0.0
    difference_weight: Value | None = None

    def __post_init__(self) -> None:
        check_decay_rates("betas", self.betas, 3)
        check_range("eps", self.eps, at_least=0)
        check_range("eps_root", self.eps_root, at_least=0)
        if self.difference_weight is not None:
            check_range("difference_weight", self.difference_weight, at_least=0)

    def init(self, params: PyTree) -> ScaleByAdanState:
        return ScaleByAdanState(
            jnp.zeros((), jnp.int32), *(zeros_like(params) for _ in range(4))
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByAdanState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByAdanState]:
        beta1, beta2, beta3 = self.betas
        step = increment(state.step)
        weight = beta2 if self.difference_weight is None else self.difference_weight
        updates, *trees = _adan(
            updates,
            state.exp_avg,
            state.exp_avg_diff,
            state.exp_avg_sq,
            state.neg_pre_grad,
            weight1=1 - beta1,
            weight2=1 - beta2,
            weight3=1 - beta3,
            correction1=one_minus_power(beta1, step),
            correction2=one_minus_power(beta2, step),
            correction3=one_minus_power(beta3, step),
            difference_weight=weight,
            is_later=jnp.where(state.step == 0, 0.0, 1.0),
            eps=self.eps,
            eps_root=self.eps_root,
        )
        return updates, ScaleByAdanState(step, *trees)


@factory
def adan(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter, Hyperparameter] = (0.98, 0.92, 0.99),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    no_prox: bool = False,
    *,
    eps_root: Hyperparameter = 0.0,
    difference_weight: Hyperparameter | None = None,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Adan: Adam with Nesterov's momentum from differences of successive gradients.

    ::

        x = g - (the last g)  from the second step on,  else  0
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * x
        n = betas[2] * n + (1 - betas[2]) * (g + k * x)^2
        c_i = 1 - betas[i]^t
        d = (m / c_0 + k * v / c_1) / (sqrt(n / c_2 + eps_root) + eps)
        u = (p - lr * d) / (1 + lr * weight_decay) - p
        u = -lr * (d + weight_decay * p)                      (no_prox)

    with ``k = difference_weight``, by default ``betas[1]``, as in the authors' code.
    optax has ``1 - betas[1]``, ``eps_root=1e-8`` and ``no_prox=True``, which gives
    another trajectory for the same betas.

    **Arguments:**

    - ``lr``: the learning rate, usually larger than Adam's.
    - ``betas``: decay rates of the mean, of the differences and of the squares, each in
      [0, 1).
    - ``eps``: added to the root, after its correction.
    - ``weight_decay``: decay, in units of ``lr``.
    - ``no_prox``: decoupled decay as in `adamw`, instead of the proximal one.
    - ``eps_root``: added inside the root.
    - ``difference_weight``: how far gradients look ahead; None: ``betas[1]``.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByAdanState`, its four trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing.

    **Source:** Xie, Zhou, Li, Lin and Yan, "Adan: Adaptive Nesterov Momentum Algorithm
    for Faster Optimizing Deep Models", 2022,
    [arXiv:2208.06677](https://arxiv.org/abs/2208.06677).
    """
    direction = scale_by_adan(betas, eps, eps_root, difference_weight)
    if no_prox or is_zero(weight_decay):
        return assemble(
            direction, lr=lr, weight_decay=weight_decay, mask=mask, maximize=maximize
        )
    return assemble(
        direction,
        step_with_proximal_decay(lr, weight_decay, mask),
        lr=None,
        maximize=maximize,
    )
