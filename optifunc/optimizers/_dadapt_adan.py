"""Adan with D-Adaptation."""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_decay_rates, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import as_scalar, first_moment, increment, second_moment
from .._placement import wide_zeros_like, zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree, inner_product, sum_norm
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._dadaptation import divided_by_root, raised_estimate
from ._decay_inside import check_mask_fits, decaying, static_mask
from ._factory import factory


class StepByDadaptAdanState(NamedTuple):
    """State of `step_by_dadapt_adan`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``d``: a float scalar, the estimate that multiplies the learning rate.
    - ``gsq_weighted``: the average of the steps' squares, weighted by their divisors.
    - ``exp_avg``: the average of each parameter's gradients, each times its step size,
      from 0 and not debiased.
    - ``exp_avg_diff``: the same for the differences of successive gradients.
    - ``exp_avg_sq``: the average of the squares of the gradients that look ahead.
    - ``s``: the average of the steps before their division.
    - ``previous_grad``: the last gradient.
    """

    step: Shared
    d: Shared
    gsq_weighted: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_diff: PerParameter
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]
    s: PerParameter
    previous_grad: PerParameter


@elementwise(outputs=6)
def _dadapt_adan(
    updates: Array,
    exp_avg: Array,
    exp_avg_diff: Array,
    exp_avg_sq: Array,
    s: Array,
    previous_grad: Array,
    *,
    dlr: Array,
    weight1: Array,
    weight2: Array,
    weight3: Array,
    difference_weight: Array,
    is_later: Array,
) -> tuple[Array, ...]:
    difference = is_later * (updates - previous_grad)
    exp_avg = first_moment(exp_avg, dlr * updates, weight1)
    exp_avg_diff = first_moment(exp_avg_diff, dlr * difference, weight2)
    ahead = updates + difference_weight * difference
    exp_avg_sq = second_moment(exp_avg_sq, ahead, weight3)
    s = first_moment(s, dlr * updates, weight3)
    return updates, exp_avg, exp_avg_diff, exp_avg_sq, s, updates


@elementwise(static=("no_prox",))
def _decayed_step(
    updates: Array,
    exp_avg: Array,
    exp_avg_diff: Array,
    exp_avg_sq: Array,
    params: Array | None,
    *,
    difference_weight: Array,
    eps: Array,
    shrinkage: Array,
    no_prox: bool,
) -> Array:
    mean = exp_avg + difference_weight * exp_avg_diff
    step = -mean / (jnp.sqrt(exp_avg_sq) + eps)
    if params is None:
        return step
    if no_prox:
        return step - shrinkage * params
    # (p + step) / (1 + shrinkage) - p
    return (step - shrinkage * params) / (1 + shrinkage)


@transformation
class step_by_dadapt_adan(GradientTransformation):
    """Adan's steps, with a learning rate that bounds the distance to a minimum.

    The rule: see `dadapt_adan`.

    **Arguments:**

    - ``lr``, ``betas``, ``eps``, ``weight_decay``, ``no_prox``, ``d0``,
      ``growth_rate``, ``mask``: see `dadapt_adan`.

    **State:** `StepByDadaptAdanState`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params`` is
    missing.
    """

    lr: Value = 1.0
    betas: tuple[Value, Value, Value] = (0.98, 0.92, 0.99)
    eps: Value = 1e-8
    weight_decay: Value = 0.02
    no_prox: bool = static(default=False)
    d0: Value = 1e-6
    growth_rate: Value = math.inf
    mask: Any = static(default=None)

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_decay_rates("betas", self.betas, 3)
        check_range("eps", self.eps, at_least=0)
        check_range("weight_decay", self.weight_decay, at_least=0)
        check_range("d0", self.d0, above=0)
        check_range("growth_rate", self.growth_rate, above=0)
        object.__setattr__(self, "mask", static_mask(self.mask))

    def init(self, params: PyTree) -> StepByDadaptAdanState:
        check_mask_fits(self.mask, params)
        return StepByDadaptAdanState(
            step=jnp.zeros((), jnp.int32),
            d=jnp.array(as_scalar(self.d0), copy=True),
            gsq_weighted=jnp.zeros((), jnp.result_type(float)),
            exp_avg=wide_zeros_like(params),
            exp_avg_diff=wide_zeros_like(params),
            exp_avg_sq=wide_zeros_like(params),
            s=wide_zeros_like(params),
            previous_grad=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: StepByDadaptAdanState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByDadaptAdanState]:
        params = require_params(params, updates, "dadapt_adan")
        beta1, beta2, beta3 = self.betas
        dlr = state.d * as_scalar(self.lr)
        weight3 = as_scalar(1 - beta3)
        updates, mean, diff, squares, s, previous = _dadapt_adan(
            updates,
            state.exp_avg,
            state.exp_avg_diff,
            state.exp_avg_sq,
            state.s,
            state.previous_grad,
            dlr=dlr,
            weight1=1 - beta1,
            weight2=1 - beta2,
            weight3=weight3,
            difference_weight=beta2,
            is_later=jnp.where(state.step == 0, 0.0, 1.0),
        )
        divided = divided_by_root(updates, squares, eps=self.eps)
        newest = dlr * dlr * inner_product(updates, divided)
        before = state.gsq_weighted
        gsq_weighted = before - weight3 * before + weight3 * newest
        way = divided_by_root(s, squares, eps=self.eps)
        numerator = inner_product(s, way) / weight3 - gsq_weighted
        d = raised_estimate(state.d, numerator, sum_norm(s), self.growth_rate)
        updates = _decayed_step(
            updates,
            mean,
            diff,
            squares,
            decaying(params, self.mask),
            difference_weight=beta2,
            eps=self.eps,
            shrinkage=dlr * as_scalar(self.weight_decay),
            no_prox=self.no_prox,
        )
        return updates, StepByDadaptAdanState(
            increment(state.step),
            d,
            gsq_weighted,
            mean,
            diff,
            squares,
            s,
            previous,
        )


@factory
def dadapt_adan(
    lr: Hyperparameter = 1.0,
    betas: tuple[Hyperparameter, Hyperparameter, Hyperparameter] = (0.98, 0.92, 0.99),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.02,
    no_prox: bool = False,
    d0: Hyperparameter = 1e-6,
    growth_rate: Hyperparameter = math.inf,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Adan that finds its learning rate by D-Adaptation.

    ::

        dlr = d * lr
        e = g - g_before                                      (0 at the first step)
        m = betas[0] * m + (1 - betas[0]) * dlr * g
        v = betas[1] * v + (1 - betas[1]) * dlr * e
        n = betas[2] * n + (1 - betas[2]) * (g + betas[1] * e)^2
        r = sqrt(n) + eps
        s = betas[2] * s + (1 - betas[2]) * dlr * g
        G = betas[2] * G + (1 - betas[2]) * dlr^2 * sum(g^2 / r)
        N = sum(s^2 / r) / (1 - betas[2]) - G
        d = max(d, min(N / |s|_1, d * growth_rate))
        p = (p - (m + betas[1] * v) / r) / (1 + dlr * weight_decay)
        p = (1 - dlr * weight_decay) * p - (m + betas[1] * v) / r     (no_prox)

    The averages are not debiased. ``d`` starts as ``d0``, and sums and norms are over
    all parameters. Leave the learning rate at 1, or use a schedule that ends at 0.
    ``of.find_in_state(state, "d")`` returns the estimate. Use one optimizer for all
    parameters: in a `partition`, each label has its own estimate.

    **Arguments:**

    - ``lr``: the factor of the estimate.
    - ``betas``: decay rates of the averages of gradients, of their differences and of
      the squares, each in [0, 1).
    - ``eps``: added to the root.
    - ``weight_decay``: decoupled decay, in units of the step size.
    - ``no_prox``: subtract the decay instead of dividing by it.
    - ``d0``: the initial estimate, which should be too small rather than too large.
    - ``growth_rate``: the largest factor by which ``d`` may grow in one step.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `StepByDadaptAdanState`, its trees in the parameters' shapes and in at
    least float32.

    **Complex parameters:** see `adam`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params`` is
    missing.

    **Source:** Defazio and Mishchenko, "Learning-Rate-Free Learning by D-Adaptation",
    2023, [arXiv:2301.07733](https://arxiv.org/abs/2301.07733); Xie
    et al., "Adan", 2022, [arXiv:2208.06677](https://arxiv.org/abs/2208.06677).
    """
    return assemble(
        step_by_dadapt_adan(
            lr, betas, eps, weight_decay, no_prox, d0, growth_rate, mask
        ),
        lr=None,
        maximize=maximize,
    )
