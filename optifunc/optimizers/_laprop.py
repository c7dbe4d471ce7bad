"""LaProp."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_integer, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import (
    as_scalar,
    first_moment,
    increment,
    is_zero,
    one_minus_power,
    second_moment,
    sqrt,
)
from .._placement import zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._decay_inside import check_mask_fits, decaying, static_mask
from ._factory import factory
from ._options import check_option


class StepByLapropState(NamedTuple):
    """State of `step_by_laprop`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg_lr_1``: float [], the average of the learning rates, from 0.
    - ``exp_avg``: the average of each parameter's divided gradients, each times its
      learning rate, from 0 and not debiased.
    - ``exp_avg_sq``: the average of the squared gradients.
    - ``exp_mean_avg_beta2``: the average of the gradients; None if not ``centered``.
    """

    step: Shared
    exp_avg_lr_1: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]
    exp_mean_avg_beta2: PerParameter | None


@elementwise(outputs=4)
def _laprop(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    exp_mean_avg_beta2: Array | None,
    decaying: Array | None,
    *,
    lr: Array,
    weight1: Array,
    weight2: Array,
    root_correction2: Array,
    scale: Array,
    eps: Array,
    centering: Array,
    shrinkage: Array,
) -> tuple[Array, Array, Array, Array | None]:
    variance = exp_avg_sq = second_moment(exp_avg_sq, updates, weight2)
    if exp_mean_avg_beta2 is not None:
        exp_mean_avg_beta2 = first_moment(exp_mean_avg_beta2, updates, weight2)
        # Rounding may make it negative.
        centered = jnp.maximum(exp_avg_sq - exp_mean_avg_beta2 * exp_mean_avg_beta2, 0)
        variance = jnp.where(centering > 0, centered, exp_avg_sq)
    divided = updates / (sqrt(variance) / root_correction2 + eps)
    exp_avg = first_moment(exp_avg, lr * divided, weight1)
    step = -scale * exp_avg
    if decaying is not None:
        # The decay follows the step.
        step = step - shrinkage * (decaying + step)
    return step, exp_avg, exp_avg_sq, exp_mean_avg_beta2


@transformation
class step_by_laprop(GradientTransformation):
    """Step by a mean of divided gradients, each with its learning rate.

    The rule: see `laprop`.

    **Arguments:**

    - ``lr``, ``betas``, ``eps``, ``weight_decay``, ``centered``,
      ``steps_before_using_centered``, ``mask``: see `laprop`.

    **State:** `StepByLapropState`.

    **Raises:** what `laprop` does, and at `update` `ValueError` for a state that was
    made with the other value of ``centered``.
    """

    lr: Value = 4e-4
    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-15
    weight_decay: Value = 0.0
    centered: bool = static(default=False)
    steps_before_using_centered: int = static(default=10)
    mask: Any = static(default=None)

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        check_range("weight_decay", self.weight_decay, at_least=0)
        check_integer(
            "steps_before_using_centered", self.steps_before_using_centered, at_least=0
        )
        object.__setattr__(self, "mask", static_mask(self.mask))

    def init(self, params: PyTree) -> StepByLapropState:
        check_mask_fits(self.mask, params)
        return StepByLapropState(
            step=jnp.zeros((), jnp.int32),
            exp_avg_lr_1=as_scalar(0),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
            exp_mean_avg_beta2=zeros_like(params) if self.centered else None,
        )

    def update(
        self,
        updates: PyTree,
        state: StepByLapropState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByLapropState]:
        check_option(self, "centered", state.exp_mean_avg_beta2, state.exp_avg)
        decayed = None
        if not is_zero(self.weight_decay):
            params = require_params(params, updates, "laprop")
            decayed = decaying(params, self.mask)
        beta1, beta2 = self.betas
        step = increment(state.step)
        lr = as_scalar(self.lr)
        weight1 = as_scalar(1 - beta1)
        exp_avg_lr_1 = first_moment(state.exp_avg_lr_1, lr, weight1)
        updates, *trees = _laprop(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            state.exp_mean_avg_beta2,
            decayed,
            lr=lr,
            weight1=weight1,
            weight2=1 - beta2,
            root_correction2=jnp.sqrt(one_minus_power(beta2, step)),
            scale=jnp.where(
                lr > 0, lr / jnp.where(exp_avg_lr_1 > 0, exp_avg_lr_1, 1), 1
            ),
            eps=self.eps,
            centering=as_scalar(step > self.steps_before_using_centered),
            shrinkage=lr * self.weight_decay,
        )
        return updates, StepByLapropState(step, exp_avg_lr_1, *trees)


@factory
def laprop(
    lr: Hyperparameter = 4e-4,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-15,
    weight_decay: Hyperparameter = 0.0,
    *,
    centered: bool = False,
    steps_before_using_centered: int = 10,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """LaProp: Adam with the division before the mean.

    ::

        v = betas[1] * v + (1 - betas[1]) * g^2
        a = betas[1] * a + (1 - betas[1]) * g                 (if centered)
        w = v - a^2  if centered, after the first steps,  else  v
        x = g / (sqrt(w / (1 - betas[1]^t)) + eps)
        m = betas[0] * m + (1 - betas[0]) * lr * x
        l = betas[0] * l + (1 - betas[0]) * lr
        u = -lr * m / l
        u = u - lr * weight_decay * (p + u)

    Each gradient is divided by the root at its own step, so the two decay rates are
    independent: Adam may diverge if ``betas[0] > sqrt(betas[1])``. With a constant
    learning rate, ``lr / l`` is the correction ``1 / (1 - betas[0]^t)``.

    **Arguments:**

    - ``lr``: the learning rate. In the mean, each gradient has the rate of its own
      step.
    - ``betas``: decay rates of the mean and of the squares, each in [0, 1).
    - ``eps``: added to the root, after its correction.
    - ``weight_decay``: decoupled decay after the step, in units of ``lr``.
    - ``centered``: divide by the deviation from the mean.
    - ``steps_before_using_centered``: the number of initial steps that divide by the
      root of the mean square.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    All numbers except ``steps_before_using_centered`` may be arrays or schedules.

    **State:** `StepByLapropState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, `TypeError` for a
    ``steps_before_using_centered`` that is not an integer, and at `update`
    `ValueError` if there is decay and ``params`` is missing.

    **Source:** Ziyin, Wang and Ueda, "LaProp: Separating Momentum and Adaptivity in
    Adam", 2020, [arXiv:2002.04839](https://arxiv.org/abs/2002.04839).
    """
    return assemble(
        step_by_laprop(
            lr,
            betas,
            eps,
            weight_decay,
            centered,
            steps_before_using_centered,
            mask,
        ),
        lr=None,
        maximize=maximize,
    )
