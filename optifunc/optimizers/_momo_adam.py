"""MoMo before Adam's division."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_loss, check_range
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
from .._placement import scalars_like, zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree, check_shapes
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._decay_inside import check_mask_fits, decaying, static_mask
from ._factory import factory
from ._momo import (
    averaged_model,
    averaged_products,
    proximal_step,
    size_and_bound,
    total_of,
)


class StepByMomoAdamState(NamedTuple):
    """State of `step_by_momo_adam`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``loss_avg``: float [], the average of the losses, from 0 and not debiased.
    - ``lb``: float [], the lower bound of the loss.
    - ``grad_dot_w``: a float [] for each parameter, the average of the inner products
      of its gradients with the values at which they were taken, not debiased.
    - ``grad_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``grad_avg_sq``: the same for their squares.
    """

    step: Shared
    loss_avg: Shared
    lb: Shared
    grad_dot_w: PerParameter
    grad_avg: Annotated[PerParameter, Keeps("betas", 0)]
    grad_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]


@elementwise(outputs=3)
def _adam_direction(
    updates: Array,
    grad_avg: Array,
    grad_avg_sq: Array,
    *,
    weight1: Array,
    weight2: Array,
    root_correction2: Array,
    eps: Array,
) -> tuple[Array, Array, Array]:
    grad_avg = first_moment(grad_avg, updates, weight1)
    grad_avg_sq = second_moment(grad_avg_sq, updates, weight2)
    direction = grad_avg / (eps + sqrt(grad_avg_sq) / root_correction2)
    return direction, grad_avg, grad_avg_sq


@transformation
class step_by_momo_adam(GradientTransformation):
    """Step along Adam's direction to where a model of the loss meets a lower bound.

    The rule: see `momo_adam`.

    **Arguments:**

    - ``lr``, ``betas``, ``eps``, ``weight_decay``, ``lower_bound``,
      ``adapt_lower_bound``, ``divide_step``, ``mask``: see `momo_adam`.

    **State:** `StepByMomoAdamState`.

    **Raises:** what `momo_adam` does.
    """

    lr: Value = 1e-2
    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-8
    weight_decay: Value = 0.0
    lower_bound: Value = 0.0
    adapt_lower_bound: bool = static(default=False)
    divide_step: bool = static(default=True)
    mask: Any = static(default=None)

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        check_range("weight_decay", self.weight_decay, at_least=0)
        check_range("lower_bound", self.lower_bound)
        object.__setattr__(self, "mask", static_mask(self.mask))

    def init(self, params: PyTree) -> StepByMomoAdamState:
        check_mask_fits(self.mask, params)
        return StepByMomoAdamState(
            step=jnp.zeros((), jnp.int32),
            loss_avg=as_scalar(0),
            # A copy, because the state may be donated but not the transformation.
            lb=jnp.array(as_scalar(self.lower_bound), copy=True),
            grad_dot_w=scalars_like(params),
            grad_avg=zeros_like(params),
            grad_avg_sq=zeros_like(params),
        )

    def update(  # type: ignore[override]  # what it needs is required
        self,
        updates: PyTree,
        state: StepByMomoAdamState,
        params: PyTree | None = None,
        *,
        value: Any,
        **extra: Any,
    ) -> tuple[PyTree, StepByMomoAdamState]:
        check_loss(value)
        params = require_params(params, updates, "momo_adam")
        check_shapes(updates, params, ("updates", "params"))
        beta1, beta2 = self.betas
        step = increment(state.step)
        weight1 = as_scalar(1 - beta1)
        loss_avg = first_moment(state.loss_avg, as_scalar(value), weight1)
        grad_dot_w = averaged_products(
            state.grad_dot_w, updates, params, weight=weight1
        )
        direction, *trees = _adam_direction(
            updates,
            state.grad_avg,
            state.grad_avg_sq,
            weight1=weight1,
            weight2=1 - beta2,
            root_correction2=jnp.sqrt(one_minus_power(beta2, step)),
            eps=self.eps,
        )
        lr = as_scalar(self.lr)
        share = lr * self.weight_decay / (1 + lr * self.weight_decay)
        decays = not is_zero(self.weight_decay)
        part = decaying(params, self.mask) if decays else None
        both = (part, decaying(direction, self.mask)) if decays else None
        model = averaged_model(
            loss_avg - total_of(grad_dot_w), trees[0], direction, params, both, share
        )
        size, lb = size_and_bound(
            model,
            lr,
            state.lb,
            as_scalar(self.lower_bound),
            one_minus_power(beta1, step),
            self.adapt_lower_bound,
        )
        updates = proximal_step(
            direction, part, size=size, share=share, divide_step=self.divide_step
        )
        return updates, StepByMomoAdamState(step, loss_avg, lb, grad_dot_w, *trees)


@factory
def momo_adam(
    lr: Hyperparameter = 1e-2,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    *,
    lower_bound: Hyperparameter = 0.0,
    adapt_lower_bound: bool = False,
    divide_step: bool = True,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """MoMo-Adam: Adam whose step size is found from the losses.

    ::

        f = betas[0] * f + (1 - betas[0]) * value
        m = betas[0] * m + (1 - betas[0]) * g
        c = betas[0] * c + (1 - betas[0]) * <g, p>
        v = betas[1] * v + (1 - betas[1]) * g^2
        d = m / (eps + sqrt(v / (1 - betas[1]^t)))
        b = 1 - betas[0]^t
        k = 1 + lr * weight_decay
        s = max(k * (f - b * lb - c) + <m, p>, 0) / <m, d>
        u = (p - min(lr / b, s) * d) / k - p
        u = p / k - min(lr / b, s) * d - p                    (without divide_step)

    Otherwise, it works like `momo`: inner products are over all parameters together,
    and `update` needs the loss as ``value``. An adapted bound is divided by ``b``.

    **Arguments:**

    - ``lr``: the largest step size, Adam's learning rate or more.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``eps``: added to the root, after its correction.
    - ``weight_decay``, ``lower_bound``, ``adapt_lower_bound``, ``divide_step``,
      ``mask``, ``maximize``: see `momo`.

    Each number may be an array or a schedule.

    **State:** `StepByMomoAdamState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** as in `momo`.

    **Raises:** what `momo` does.

    **Source:** see `momo`.
    """
    return assemble(
        step_by_momo_adam(
            lr,
            betas,
            eps,
            weight_decay,
            lower_bound,
            adapt_lower_bound,
            divide_step,
            mask,
        ),
        lr=None,
        maximize=maximize,
    )
