"""Lion with D-Adaptation."""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._dataclass import child
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import as_scalar, first_moment, increment, one_minus_power
from .._placement import wide_zeros_like, zeros_like
from .._state import Keeps, PerParameter, Shared
from .._transformation import GradientTransformation, State, identity, transformation
from .._tree import PyTree, inner_product, sum_norm
from ..wrappers._selection import Mask
from ..wrappers._wrapper import Wrapper
from ._assemble import assemble
from ._dadaptation import raised_estimate
from ._factory import factory


class StepByDadaptLionState(NamedTuple):
    """State of `step_by_dadapt_lion`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``d``: a float scalar, the estimate that multiplies the learning rate.
    - ``numerator_weighted``: the average product of signs and displacements.
    - ``exp_avg``: the average of each parameter's gradients, each times its step size.
    - ``s``: the average of each parameter's steps.
    - ``decay``: the decay's state.
    """

    step: Shared
    d: Shared
    numerator_weighted: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 1)]
    s: PerParameter
    decay: State


@elementwise(outputs=3)
def _dadapt_lion(
    updates: Array,
    exp_avg: Array,
    s: Array,
    *,
    dlr: Array,
    weight1: Array,
    weight2: Array,
    weight3: Array,
) -> tuple[Array, Array, Array]:
    signs = jnp.sign(first_moment(exp_avg, updates, weight1))
    exp_avg = first_moment(exp_avg, dlr * updates, weight2)
    return signs, exp_avg, first_moment(s, dlr * signs, weight3)


@elementwise(inline=True)
def _minus_both(signs: Array, decayed: Array, *, dlr: Array) -> Array:
    return -dlr * (signs + decayed)


@transformation
class step_by_dadapt_lion(Wrapper):
    """Lion's steps, with a learning rate that bounds the distance to a minimum.

    The rule: see `dadapt_lion`.

    **Arguments:**

    - ``decay``: the transformation that adds decoupled decay to a direction, such as
      `add_decayed_weights`.
    - ``lr``, ``betas``, ``d0``, ``growth_rate``: see `dadapt_lion`.

    **State:** `StepByDadaptLionState`.

    **Raises:** `ValueError` for a number out of range.
    """

    decay: GradientTransformation = child(default=identity())
    lr: Value = 1.0
    betas: tuple[Value, Value] = (0.9, 0.99)
    d0: Value = 1e-6
    growth_rate: Value = math.inf

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_betas(self.betas)
        check_range("d0", self.d0, above=0)
        check_range("growth_rate", self.growth_rate, above=0)
        super().__post_init__()

    def init(self, params: PyTree) -> StepByDadaptLionState:
        return StepByDadaptLionState(
            step=jnp.zeros((), jnp.int32),
            d=jnp.array(as_scalar(self.d0), copy=True),
            numerator_weighted=jnp.zeros((), jnp.result_type(float)),
            exp_avg=wide_zeros_like(params),
            s=wide_zeros_like(params),
            decay=self.decay.init(params),
        )

    def update(
        self,
        updates: PyTree,
        state: StepByDadaptLionState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByDadaptLionState]:
        dlr = state.d * as_scalar(self.lr)
        weight3 = one_minus_power(self.betas[1], as_scalar(0.5))
        signs, exp_avg, s = _dadapt_lion(
            updates,
            state.exp_avg,
            state.s,
            dlr=dlr,
            weight1=1 - self.betas[0],
            weight2=1 - self.betas[1],
            weight3=weight3,
        )
        before = state.numerator_weighted
        product = dlr * inner_product(signs, state.s)
        numerator = before - weight3 * before + weight3 * product
        d = raised_estimate(state.d, numerator, weight3 * sum_norm(s), self.growth_rate)
        decayed, decay = self.decay.update(
            zeros_like(updates), state.decay, params, **extra
        )
        return _minus_both(signs, decayed, dlr=dlr), StepByDadaptLionState(
            increment(state.step), d, numerator, exp_avg, s, decay
        )


@factory
def dadapt_lion(
    lr: Hyperparameter = 1.0,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.99),
    weight_decay: Hyperparameter = 0.0,
    d0: Hyperparameter = 1e-6,
    growth_rate: Hyperparameter = math.inf,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Lion that finds its learning rate by D-Adaptation.

    ::

        dlr = d * lr
        b = sqrt(betas[1])
        c = sign(betas[0] * m + (1 - betas[0]) * g)
        u = -dlr * (c + weight_decay * p)
        m = betas[1] * m + (1 - betas[1]) * dlr * g
        N = b * N + (1 - b) * dlr * <c, s>
        s = b * s + (1 - b) * dlr * c
        d = max(d, min(N / ((1 - b) * |s|_1), d * growth_rate))

    where ``N`` is computed with the old ``s``. In the sign, ``m`` includes the step
    size but ``g`` does not, as in the authors' code. ``d`` starts as ``d0``, and sums
    and norms are over all parameters. Leave the learning rate at 1, or use a schedule
    that ends at 0. ``of.find_in_state(state, "d")`` returns the estimate. Use one
    optimizer for all parameters: in a `partition`, each label has its own estimate.

    **Arguments:**

    - ``lr``: the factor of the estimate.
    - ``betas``: the weight of the average in the sign, and its decay rate, each in [0,
      1).
    - ``weight_decay``: decoupled decay, in units of the step size.
    - ``d0``: the initial estimate, which should be too small rather than too large.
    - ``growth_rate``: the largest factor by which ``d`` may grow in one step.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `StepByDadaptLionState`, its trees in the parameters' shapes and in at
    least float32.

    **Complex parameters:** see `adam`.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is
    missing.

    **Source:** Defazio and Mishchenko, "Learning-Rate-Free Learning by D-Adaptation",
    2023, [arXiv:2301.07733](https://arxiv.org/abs/2301.07733).
    """
    decay = assemble(lr=None, weight_decay=weight_decay, mask=mask, decay="coupled")
    direction = step_by_dadapt_lion(decay, lr, betas, d0, growth_rate)
    return assemble(direction, lr=None, maximize=maximize)
