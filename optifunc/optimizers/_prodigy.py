"""Prodigy."""

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
from .._placement import copied, wide_zeros_like
from .._state import (
    Keeps,
    NonNegative,
    PerParameter,
    Restarting,
    Shared,
)
from .._transformation import (
    GradientTransformation,
    State,
    identity,
    require_params,
    transformation,
)
from .._tree import PyTree, inner_product, sum_norm
from .._way import compensated, way_back
from ..transforms._scaling import scale_by_learning_rate
from ..wrappers._selection import Mask
from ..wrappers._wrapper import Wrapper
from ._assemble import assemble
from ._factory import factory


class StepByProdigyState(NamedTuple):
    """State of `step_by_prodigy`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``d``: a float scalar, the estimate that multiplies the learning rate.
    - ``d_max``: the largest estimate so far, toward which ``d`` grows.
    - ``d_numerator``: the weighted sum of products of gradients and displacements.
    - ``exp_avg``: the average of each parameter's scaled gradients, from 0 and not
      debiased.
    - ``exp_avg_sq``: the same for their squares.
    - ``s``: their weighted sum, whose size is the estimate's denominator.
    - ``p0``: the initial parameters.
    - ``compensation``: the accumulated rounding error of the updates so far.
    - ``decay``: the decay's state.
    """

    step: Shared
    d: Shared
    d_max: Shared
    d_numerator: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]
    s: PerParameter
    p0: PerParameter
    compensation: Restarting
    decay: State


@elementwise(outputs=4)
def _prodigy_sums(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    s: Array,
    *,
    d: Array,
    weight1: Array,
    weight2: Array,
    weight3: Array,
    scale: Array,
) -> tuple[Array, Array, Array, Array]:
    exp_avg = first_moment(exp_avg, d * updates, weight1)
    exp_avg_sq = second_moment(exp_avg_sq, d * updates, weight2)
    return updates, exp_avg, exp_avg_sq, s - weight3 * s + scale * updates


@elementwise()
def moments_ratio(
    updates: Array, exp_avg: Array, exp_avg_sq: Array, *, eps: Array
) -> Array:
    """Adam's direction, in the dtype of ``updates``."""
    return exp_avg / (sqrt(exp_avg_sq) + eps)


def bias_correction(betas: Any, step: Array, used: bool) -> Any:
    """The bias correction of Adam's step, or 1."""
    if not used:
        return 1.0
    return jnp.sqrt(one_minus_power(betas[1], step)) / one_minus_power(betas[0], step)


@transformation
class step_by_prodigy(Wrapper):
    """Adam's steps, with a learning rate that estimates the distance to a minimum.

    The rule: see `prodigy`.

    **Arguments:**

    - ``decay``: a transformation of the direction before it is multiplied by the step
      size, such as `add_decayed_weights`.
    - ``lr``, ``betas``, ``beta3``, ``eps``, ``use_bias_correction``,
      ``safeguard_warmup``, ``d0``, ``d_coef``, ``growth_rate``: see `prodigy`.

    **State:** `StepByProdigyState`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params`` is
    missing.
    """

    decay: GradientTransformation = child(default=identity())
    lr: Value = 1.0
    betas: tuple[Value, Value] = (0.9, 0.999)
    beta3: Value | None = None
    eps: Value = 1e-8
    use_bias_correction: bool = static(default=False)
    safeguard_warmup: bool = static(default=False)
    d0: Value = 1e-6
    d_coef: Value = 1.0
    growth_rate: Value = math.inf

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_betas(self.betas)
        if self.beta3 is not None:
            check_range("beta3", self.beta3, at_least=0, below=1)
        check_range("eps", self.eps, at_least=0)
        for name in ("d0", "d_coef", "growth_rate"):
            check_range(name, getattr(self, name), above=0)
        super().__post_init__()

    def init(self, params: PyTree) -> StepByProdigyState:
        return StepByProdigyState(
            step=jnp.zeros((), jnp.int32),
            d=jnp.array(as_scalar(self.d0), copy=True),
            d_max=jnp.array(as_scalar(self.d0), copy=True),
            d_numerator=jnp.zeros((), jnp.result_type(float)),
            exp_avg=wide_zeros_like(params),
            exp_avg_sq=wide_zeros_like(params),
            s=wide_zeros_like(params),
            p0=copied(params),
            compensation=wide_zeros_like(params),
            decay=self.decay.init(params),
        )

    def update(
        self,
        updates: PyTree,
        state: StepByProdigyState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByProdigyState]:
        params = require_params(params, updates, "prodigy")
        beta1, beta2 = self.betas
        step, d = increment(state.step), state.d
        dlr = d * as_scalar(self.lr)
        dlr = dlr * bias_correction(self.betas, step, self.use_bias_correction)
        if self.beta3 is None:
            weight3 = one_minus_power(beta2, as_scalar(0.5))
        else:
            weight3 = as_scalar(1 - self.beta3)
        # Relative to d0, so that float32 can distinguish the sums from 0.
        relative = d / as_scalar(self.d0)
        moved, exp_avg, exp_avg_sq, s = _prodigy_sums(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            state.s,
            d=d,
            weight1=1 - beta1,
            weight2=1 - beta2,
            weight3=weight3,
            scale=relative * (d if self.safeguard_warmup else dlr),
        )
        way = way_back(state.compensation, state.p0, params)
        d_numerator = (
            state.d_numerator
            - weight3 * state.d_numerator
            + relative * dlr * inner_product(moved, way)
        )
        new_d, d_max = self._estimated(state, d_numerator, sum_norm(s))
        updates = moments_ratio(
            updates, exp_avg, exp_avg_sq, eps=new_d * as_scalar(self.eps)
        )
        updates, decay = self.decay.update(updates, state.decay, params, **extra)
        # The step uses the old estimate; the new one is for the next step.
        updates = scale_by_learning_rate(dlr).apply(updates)
        return updates, StepByProdigyState(
            step=step,
            d=new_d,
            d_max=d_max,
            d_numerator=d_numerator,
            exp_avg=exp_avg,
            exp_avg_sq=exp_avg_sq,
            s=s,
            p0=state.p0,
            compensation=compensated(state.compensation, params, updates),
            decay=decay,
        )

    def _estimated(
        self, state: StepByProdigyState, numerator: Array, denominator: Array
    ) -> tuple[Array, Array]:
        """The next ``d`` and ``d_max``; the old ones if there has been no gradient."""
        known = denominator > 0
        safe = jnp.where(known, denominator, 1)
        estimate = jnp.where(known, as_scalar(self.d_coef) * numerator / safe, 0)
        # The growth rate does not limit the first estimate.
        is_first = state.d == as_scalar(self.d0)
        d = jnp.where(is_first, jnp.maximum(state.d, estimate), state.d)
        d_max = jnp.maximum(state.d_max, estimate)
        d = jnp.minimum(d_max, d * as_scalar(self.growth_rate))
        return jnp.where(known, d, state.d), d_max


@factory
def prodigy(
    lr: Hyperparameter = 1.0,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    beta3: Hyperparameter | None = None,
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    decouple: bool = True,
    use_bias_correction: bool = False,
    safeguard_warmup: bool = False,
    d0: Hyperparameter = 1e-6,
    d_coef: Hyperparameter = 1.0,
    growth_rate: Hyperparameter = math.inf,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Adam that finds its learning rate: an estimate of the distance to a minimum.

    ::

        dlr = d * lr,  times sqrt(1 - betas[1]^t) / (1 - betas[0]^t)
              with use_bias_correction
        N = beta3 * N + d / d0 * dlr * <g, p0 - p>
        m = betas[0] * m + (1 - betas[0]) * d * g
        v = betas[1] * v + (1 - betas[1]) * (d * g)^2
        s = beta3 * s + d / d0 * (d if safeguard_warmup else dlr) * g
        e = d_coef * N / |s|_1
        d = max(d, e)  while d = d0
        d_max = max(d_max, e),  d = min(d_max, d * growth_rate)
        u = -dlr * (m / (sqrt(v) + d * eps) + weight_decay * p)

    where ``p0`` are the initial parameters, ``d`` starts as ``d0``, and ``N`` and
    ``|s|_1`` are sums over all parameters. Leave the learning rate at 1, or use a
    schedule that ends at 0, such as ``of.schedules.cosine_annealing(1.0, steps)``.
    ``of.find_in_state(state, "d")`` returns the estimate. With ``use_bias_correction``,
    the rule is that of optax.

    Use one optimizer for all parameters: in a `partition`, each label has its own
    estimate.

    The first updates are of the size of ``d0``, so they change only the last digits of
    the parameters, if at all. What is lost to rounding is kept in the state and counts
    as displacement, so the estimate in float32 equals that in float64, and bfloat16
    works.

    **Arguments:**

    - ``lr``: the factor of the estimate.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``beta3``: decay rate of the estimate's sums; None: ``sqrt(betas[1])``.
    - ``eps``: added to the root, in units of ``d``.
    - ``weight_decay``: decoupled decay, in units of the step size.
    - ``decouple``: if False, the decay is an L2 penalty instead.
    - ``use_bias_correction``: Adam's correction of moments that start at 0.
    - ``safeguard_warmup``: make the estimate independent of ``lr``, for schedules with
      a warm-up.
    - ``d0``: the initial estimate, which should be too small rather than too large.
    - ``d_coef``: the factor of each estimate; 0.5 to 2 are sensible.
    - ``growth_rate``: the largest factor by which ``d`` may grow in one step, after its
      first growth.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `StepByProdigyState`, its sums in the parameters' shapes and in at least
    float32, because the squares of small estimates would be 0 in float16.

    **Complex parameters:** see `adam`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params``
    is missing.

    **Source:** Mishchenko and Defazio, "Prodigy: An Expeditiously Adaptive
    Parameter-Free Learner", 2024,
    [arXiv:2306.06101](https://arxiv.org/abs/2306.06101).
    """
    decay = assemble(lr=None, weight_decay=weight_decay, mask=mask, decay="coupled")
    direction = step_by_prodigy(
        decay if decouple else identity(),
        lr,
        betas,
        beta3,
        eps,
        use_bias_correction,
        safeguard_warmup,
        d0,
        d_coef,
        growth_rate,
    )
    before = [] if decouple else [decay]
    return assemble(*before, direction, lr=None, maximize=maximize)
