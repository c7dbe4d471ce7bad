"""Adam with D-Adaptation."""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._dataclass import child, static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import (
    as_scalar,
    first_moment,
    increment,
    one_minus_power,
    second_moment,
    sqrt,
)
from .._placement import wide_zeros_like, zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import (
    GradientTransformation,
    State,
    identity,
    transformation,
)
from .._tree import PyTree, inner_product, sum_norm
from ..wrappers._selection import Mask
from ..wrappers._wrapper import Wrapper
from ._assemble import assemble
from ._dadaptation import divided_by_root, raised_estimate
from ._factory import factory
from ._prodigy import bias_correction


class StepByDadaptAdamState(NamedTuple):
    """State of `step_by_dadapt_adam`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``d``: a float scalar, the estimate that multiplies the learning rate.
    - ``numerator_weighted``: the average product of gradients and displacements.
    - ``exp_avg``: the average of each parameter's steps, from 0 and not debiased.
    - ``exp_avg_sq``: the same for the gradients' squares.
    - ``s``: a longer average of the steps, whose size is the estimate's denominator.
    - ``decay``: the decay's state.
    """

    step: Shared
    d: Shared
    numerator_weighted: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]
    s: PerParameter
    decay: State


@elementwise(outputs=4)
def _dadapt_sums(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    s: Array,
    *,
    dlr: Array,
    weight1: Array,
    weight2: Array,
    weight3: Array,
    eps: Array,
) -> tuple[Array, Array, Array, Array]:
    exp_avg = first_moment(exp_avg, dlr * updates, weight1)
    exp_avg_sq = second_moment(exp_avg_sq, updates, weight2)
    s = first_moment(s, dlr * updates, weight3)
    return exp_avg / (sqrt(exp_avg_sq) + eps), exp_avg, exp_avg_sq, s


@elementwise(inline=True)
def _minus_decay(updates: Array, decayed: Array, *, dlr: Array) -> Array:
    return -updates - dlr * decayed


@transformation
class step_by_dadapt_adam(Wrapper):
    """Adam's steps, with a learning rate that bounds the distance to a minimum.

    The rule: see `dadapt_adam`.

    **Arguments:**

    - ``decay``: the transformation that adds decoupled decay to a direction, such as
      `add_decayed_weights`.
    - ``lr``, ``betas``, ``eps``, ``use_bias_correction``, ``d0``, ``growth_rate``: see
      `dadapt_adam`.

    **State:** `StepByDadaptAdamState`.

    **Raises:** `ValueError` for a number out of range.
    """

    decay: GradientTransformation = child(default=identity())
    lr: Value = 1.0
    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-8
    use_bias_correction: bool = static(default=False)
    d0: Value = 1e-6
    growth_rate: Value = math.inf

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        check_range("d0", self.d0, above=0)
        check_range("growth_rate", self.growth_rate, above=0)
        super().__post_init__()

    def init(self, params: PyTree) -> StepByDadaptAdamState:
        return StepByDadaptAdamState(
            step=jnp.zeros((), jnp.int32),
            d=jnp.array(as_scalar(self.d0), copy=True),
            numerator_weighted=jnp.zeros((), jnp.result_type(float)),
            exp_avg=wide_zeros_like(params),
            exp_avg_sq=wide_zeros_like(params),
            s=wide_zeros_like(params),
            decay=self.decay.init(params),
        )

    def update(
        self,
        updates: PyTree,
        state: StepByDadaptAdamState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByDadaptAdamState]:
        beta1, beta2 = self.betas
        step = increment(state.step)
        dlr = state.d * as_scalar(self.lr)
        dlr = dlr * bias_correction(self.betas, step, self.use_bias_correction)
        weight3 = one_minus_power(beta2, as_scalar(0.5))
        new, exp_avg, exp_avg_sq, s = _dadapt_sums(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            state.s,
            dlr=dlr,
            weight1=1 - beta1,
            weight2=1 - beta2,
            weight3=weight3,
            eps=self.eps,
        )
        way = divided_by_root(state.s, state.exp_avg_sq, eps=self.eps)
        before = state.numerator_weighted
        product = dlr * inner_product(updates, way)
        numerator = before - weight3 * before + weight3 * product
        d = raised_estimate(state.d, numerator, weight3 * sum_norm(s), self.growth_rate)
        decayed, decay = self.decay.update(
            zeros_like(updates), state.decay, params, **extra
        )
        return _minus_decay(new, decayed, dlr=dlr), StepByDadaptAdamState(
            step, d, numerator, exp_avg, exp_avg_sq, s, decay
        )


@factory
def dadapt_adam(
    lr: Hyperparameter = 1.0,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    decouple: bool = False,
    use_bias_correction: bool = False,
    d0: Hyperparameter = 1e-6,
    growth_rate: Hyperparameter = math.inf,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Adam that finds its learning rate: a lower bound on the distance to a minimum.

    ::

        dlr = d * lr,  times sqrt(1 - betas[1]^t) / (1 - betas[0]^t)
              with use_bias_correction
        b = sqrt(betas[1])
        N = b * N + (1 - b) * dlr * <g, s / (sqrt(v) + eps)>
        m = betas[0] * m + (1 - betas[0]) * dlr * g
        v = betas[1] * v + (1 - betas[1]) * g^2
        s = b * s + (1 - b) * dlr * g
        u = -m / (sqrt(v) + eps) - dlr * weight_decay * p     (decouple)
        d = max(d, min(N / ((1 - b) * |s|_1), d * growth_rate))

    where ``d`` starts as ``d0`` and ``N`` and ``|s|_1`` are sums over all parameters,
    ``N`` with the old ``s`` and ``v``. Leave the learning rate at 1, or use a schedule
    that ends at 0. ``of.find_in_state(state, "d")`` returns the estimate. With
    ``decouple`` and ``use_bias_correction``, the rule is that of optax's
    ``dadapt_adamw``. `prodigy` estimates more boldly.

    Use one optimizer for all parameters: in a `partition`, each label has its own
    estimate.

    **Arguments:**

    - ``lr``: the factor of the estimate.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``eps``: added to the root.
    - ``weight_decay``: L2 penalty, or with ``decouple`` decoupled decay, in units of
      the step size.
    - ``decouple``: keep the decay out of the moments.
    - ``use_bias_correction``: Adam's correction of moments that start at 0.
    - ``d0``: the initial estimate, which should be too small rather than too large.
    - ``growth_rate``: the largest factor by which ``d`` may grow in one step.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `StepByDadaptAdamState`, its trees in the parameters' shapes and in at
    least float32.

    **Complex parameters:** see `adam`.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing.

    **Source:** Defazio and Mishchenko, "Learning-Rate-Free Learning by D-Adaptation",
    2023, [arXiv:2301.07733](https://arxiv.org/abs/2301.07733).
    """
    decay = assemble(lr=None, weight_decay=weight_decay, mask=mask, decay="coupled")
    direction = step_by_dadapt_adam(
        decay if decouple else identity(),
        lr,
        betas,
        eps,
        use_bias_correction,
        d0,
        growth_rate,
    )
    before = [] if decouple else [decay]
    return assemble(*before, direction, lr=None, maximize=maximize)
