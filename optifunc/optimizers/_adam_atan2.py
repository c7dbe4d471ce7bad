"""Adam with an arctangent in place of its division."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import (
    first_moment,
    increment,
    is_number,
    is_zero,
    one_minus_power,
    second_moment,
    sqrt,
)
from .._placement import zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..transforms._weight_decay import add_decayed_weights
from ..wrappers._masked import masked
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory

# The remaining elements of a leaf are scaled up by at most the inverse of this.
LEAST_SHARE = 1e-5


class ScaleByAdamAtan2State(NamedTuple):
    """State of `scale_by_adam_atan2`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``exp_avg_sq``: the same for their squares.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]


@elementwise(outputs=3, static=("is_cautious",))
def _adam_atan2(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    *,
    weight1: Array,
    weight2: Array,
    a: Array,
    stretch: Array,
    cautious_factor: Array,
    is_cautious: bool,
) -> tuple[Array, Array, Array]:
    exp_avg = first_moment(exp_avg, updates, weight1)
    exp_avg_sq = second_moment(exp_avg_sq, updates, weight2)
    root = stretch * sqrt(exp_avg_sq)
    # If all gradients so far were 0, the angle is 0; its derivative is undefined.
    is_none = (exp_avg == 0) & (root == 0)
    angle = jnp.arctan2(exp_avg, jnp.where(is_none, 1, root))
    if is_cautious:
        kept = jnp.where(angle * updates > 0, 1, cautious_factor)
        angle *= kept / jnp.maximum(jnp.sum(kept) / max(kept.size, 1), LEAST_SHARE)
    return a * angle, exp_avg, exp_avg_sq


@transformation
class scale_by_adam_atan2(GradientTransformation):
    """The angle of Adam's two moments, in place of their quotient.

    The rule: see `adam_atan2`.

    **Arguments:**

    - ``betas``, ``a``, ``b``, ``cautious_factor``: see `adam_atan2`, whose factor of 1
      is None here.

    **State:** `ScaleByAdamAtan2State`.

    **Raises:** `ValueError` for a number out of range.
    """

    betas: tuple[Value, Value] = (0.9, 0.99)
    a: Value = 1.27
    b: Value = 1.0
    cautious_factor: Value | None = None  # not 1, which would be a leaf

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("a", self.a, above=0)
        check_range("b", self.b, above=0)
        if self.cautious_factor is not None:
            check_range("cautious_factor", self.cautious_factor, at_least=0, at_most=1)

    def init(self, params: PyTree) -> ScaleByAdamAtan2State:
        return ScaleByAdamAtan2State(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByAdamAtan2State,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByAdamAtan2State]:
        beta1, beta2 = self.betas
        step = increment(state.step)
        # The angle depends only on the moments' ratio: one factor corrects both.
        correction = one_minus_power(beta1, step)
        factor = self.cautious_factor
        stretch = self.b * correction / jnp.sqrt(one_minus_power(beta2, step))
        updates, exp_avg, exp_avg_sq = _adam_atan2(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            weight1=1 - beta1,
            weight2=1 - beta2,
            a=self.a,
            stretch=stretch,
            cautious_factor=1.0 if factor is None else factor,
            is_cautious=factor is not None,
        )
        return updates, ScaleByAdamAtan2State(step, exp_avg, exp_avg_sq)


@factory
def adam_atan2(
    lr: Hyperparameter = 1e-4,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.99),
    weight_decay: Hyperparameter = 0.0,
    *,
    a: Hyperparameter = 1.27,
    b: Hyperparameter = 1.0,
    cautious_wd: bool = False,
    cautious_factor: Hyperparameter = 1.0,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Adam without ``eps``: the angle of the two moments in place of their quotient.

    ::

        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g^2
        d = a * atan2(m / (1 - betas[0]^t), b * sqrt(v / (1 - betas[1]^t)))
        k = 1  where d * g > 0,  else  cautious_factor
        d = d * k / max(mean(k), 1e-5)
        u = -lr * (d + weight_decay * p)
        u = -lr * (d + weight_decay * p  where d * p > 0)     (cautious_wd)

    Where Adam's quotient is small, ``d`` is ``a / b`` times the quotient; no element
    exceeds ``a * pi / 2``. By default, a steady gradient leads to steps of about
    ``lr``.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``a``: the factor of the angle, above 0.
    - ``b``: the factor of the root, above 0.
    - ``cautious_wd``: decay only elements that the step moves toward 0.
    - ``cautious_factor``: the factor of elements of ``d`` that go against the gradient,
      in [0, 1]; the factors of each leaf are normalized to a mean of 1. The number 1
      disables this.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByAdamAtan2State`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing.

    **Source:** Everett et al., "Scaling Exponents Across Parameterizations and
    Optimizers", 2024, [arXiv:2407.05872](https://arxiv.org/abs/2407.05872); the
    cautious options: the package adam-atan2-pytorch.
    """
    is_bold = is_number(cautious_factor) and cautious_factor == 1
    direction: list[Any] = [
        scale_by_adam_atan2(betas, a, b, None if is_bold else cautious_factor)
    ]
    if cautious_wd and not is_zero(weight_decay):
        decay = add_decayed_weights(weight_decay, cautious=True, strict=True)
        direction.append(decay if mask is None else masked(decay, mask))
        weight_decay = 0.0
    return assemble(
        *direction,
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
