"""ACProp."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import first_moment, increment, one_minus_power, second_moment, sqrt
from .._placement import zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleByAcpropState(NamedTuple):
    """State of `scale_by_acprop`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``exp_avg_var``: the same for their squared differences from the average.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_var: Annotated[NonNegative, Keeps("betas", 1)]


@elementwise(outputs=3)
def _acprop(
    updates: Array,
    exp_avg: Array,
    exp_avg_var: Array,
    *,
    weight1: Array,
    weight2: Array,
    is_first: Array,
    correction: Array,
    eps: Array,
    eps_root: Array,
) -> tuple[Array, Array, Array]:
    root = jnp.where(is_first > 0, 1, sqrt(exp_avg_var / correction))
    divisor = root + eps
    # An average of 0 means that all gradients so far were 0.
    direction = jnp.where(divisor > 0, updates / jnp.where(divisor > 0, divisor, 1), 0)
    exp_avg_var = second_moment(exp_avg_var, updates - exp_avg, weight2) + eps_root
    return direction, first_moment(exp_avg, updates, weight1), exp_avg_var


@transformation
class scale_by_acprop(GradientTransformation):
    """Divide the gradient by the root of its variance up to the last step.

    The rule: see `acprop`.

    **Arguments:**

    - ``betas``, ``eps``, ``eps_root``: see `acprop`.

    **State:** `ScaleByAcpropState`.

    **Raises:** `ValueError` for a number out of range.
    """

    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-16
    eps_root: Value = 1e-16

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        check_range("eps_root", self.eps_root, at_least=0)

    def init(self, params: PyTree) -> ScaleByAcpropState:
        return ScaleByAcpropState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_var=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByAcpropState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByAcpropState]:
        beta1, beta2 = self.betas
        updates, *trees = _acprop(
            updates,
            state.exp_avg,
            state.exp_avg_var,
            weight1=1 - beta1,
            weight2=1 - beta2,
            is_first=state.step == 0,
            correction=one_minus_power(beta2, jnp.maximum(state.step, 1)),
            eps=self.eps,
            eps_root=self.eps_root,
        )
        return updates, ScaleByAcpropState(increment(state.step), *trees)


@factory
def acprop(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-16,
    weight_decay: Hyperparameter = 0.0,
    *,
    eps_root: Hyperparameter = 1e-16,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """ACProp: the gradient, divided by the root of its variance before this step.

    ::

        d = g / (sqrt(s / (1 - betas[1]^(t - 1))) + eps)      (at t = 1: g / (1 + eps))
        s = betas[1] * s + (1 - betas[1]) * (g - m)^2 + eps_root
        m = betas[0] * m + (1 - betas[0]) * g
        u = -lr * (d + weight_decay * p)

    The divisor does not depend on the gradient that it divides, and the mean is used
    only for the variance: there is no momentum.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the mean and of the variance, each in [0, 1).
    - ``eps``: added to the root, after its correction.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``eps_root``: added to the variance at each step.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByAcpropState`, its trees in the parameters' shapes and dtypes. In
    float16, a variance may round to 0; with the default ``eps``, the step after it is
    infinite, so raise ``eps``.

    **Complex parameters:** real and imaginary parts are treated as separate parameters.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing.

    **Source:** Zhuang, Ding, Tang and others, "Momentum Centering and Asynchronous
    Update for Adaptive Gradient Methods", 2021,
    [arXiv:2110.05454](https://arxiv.org/abs/2110.05454).
    """
    return assemble(
        scale_by_acprop(betas, eps, eps_root),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
