"""MoMo: Polyak's step size, with momentum."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_loss, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise, leafwise
from .._numerics import Scalar, as_scalar, first_moment, increment, is_zero
from .._placement import scalars_like, zeros_like
from .._state import Keeps, PerParameter, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree, check_shapes, inner_product
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._decay_inside import check_mask_fits, decaying, static_mask
from ._factory import factory
from ._polyak_sgd import polyak_ratio


class StepByMomoState(NamedTuple):
    """State of `step_by_momo`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``loss_avg``: float [], the average of the losses.
    - ``lb``: float [], the lower bound of the loss.
    - ``grad_dot_w``: a float [] for each parameter, the average of the inner products
      of its gradients with the values at which they were taken.
    - ``grad_avg``: the average of each parameter's gradients.
    """

    step: Shared
    loss_avg: Shared
    lb: Shared
    grad_dot_w: PerParameter
    grad_avg: Annotated[PerParameter, Keeps("beta")]


@leafwise()
def averaged_products(
    grad_dot_w: Array, updates: Array, params: Array, *, weight: Array
) -> Array:
    """The average of the inner products of gradients and parameters, leaf by leaf."""
    product = jnp.sum(jnp.real(jnp.conj(updates) * params))
    return first_moment(jnp.real(grad_dot_w), product, weight)


def total_of(scalars: PyTree) -> Array:
    """The sum of what `averaged_products` returns."""
    return sum(jax.tree.leaves(scalars), start=as_scalar(0))


class Model(NamedTuple):
    """The average of the losses' linear models, along the step."""

    value: Array  # at the parameters
    slope: Array  # how fast it falls
    decayed_value: Array  # where the weight decay alone leads
    decayed_slope: Array


def averaged_model(
    at_zero: Array,
    grad_avg: PyTree,
    direction: PyTree,
    params: PyTree,
    decaying: tuple[PyTree, PyTree] | None,
    share: Scalar,
) -> Model:
    """The model of the loss along ``direction``.

    **Arguments:**

    - ``at_zero``: the average of the models' values at parameters of 0.
    - ``grad_avg``: the average of their gradients.
    - ``direction``: the direction of the step, except for its size and sign.
    - ``params``: the parameters.
    - ``decaying``: the part of ``params`` and ``direction`` that decays; None: nothing.
    - ``share``: the fraction of it that a step removes.
    """
    value = at_zero + inner_product(grad_avg, params)
    slope = inner_product(grad_avg, direction)
    if decaying is None:
        return Model(value, slope, value, slope)
    lost = [share * inner_product(grad_avg, part) for part in decaying]
    return Model(value, slope, value - lost[0], slope - lost[1])


def size_and_bound(
    model: Model,
    lr: Array,
    lb: Array,
    lower_bound: Array,
    correction: Scalar,
    adapts: bool,
) -> tuple[Array, Array]:
    """The size of the step, and the next lower bound.

    ``correction`` is the sum of the weights in the averages.
    """
    if adapts:
        halved = jnp.maximum(model.decayed_value / (2 * correction), lower_bound)
        lb = jnp.where(model.decayed_value < correction * lb, halved, lb)
    gap = jnp.maximum(model.decayed_value - correction * lb, 0)
    size = polyak_ratio(gap, model.decayed_slope)
    size = jnp.minimum(lr / correction, size)
    if adapts:
        reached = model.value - 0.5 * size * model.slope
        lb = jnp.maximum(reached / correction, lower_bound)
    return size, lb


@elementwise(outputs=2)
def _mean_gradient(
    updates: Array, grad_avg: Array, *, weight: Array
) -> tuple[Array, Array]:
    grad_avg = first_moment(grad_avg, updates, weight)
    return grad_avg, grad_avg


@elementwise(static=("divide_step",))
def proximal_step(
    direction: Array,
    decaying: Array | None,
    *,
    size: Array,
    share: Array,
    divide_step: bool,
) -> Array:
    """A step along the direction, and a decay that removes ``share`` of the parameters.

    With ``divide_step``, the step decays, too.
    """
    moved = -size * direction
    if decaying is None:
        return moved
    return moved - share * (decaying + moved if divide_step else decaying)


@transformation
class step_by_momo(GradientTransformation):
    """Step to where the average of the losses' linear models meets a lower bound.

    The rule: see `momo`.

    **Arguments:**

    - ``lr``, ``beta``, ``weight_decay``, ``lower_bound``, ``adapt_lower_bound``,
      ``divide_step``, ``mask``: see `momo`.

    **State:** `StepByMomoState`.

    **Raises:** what `momo` does.
    """

    lr: Value = 1.0
    beta: Value = 0.9
    weight_decay: Value = 0.0
    lower_bound: Value = 0.0
    adapt_lower_bound: bool = static(default=False)
    divide_step: bool = static(default=True)
    mask: Any = static(default=None)

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_range("beta", self.beta, at_least=0, below=1)
        check_range("weight_decay", self.weight_decay, at_least=0)
        check_range("lower_bound", self.lower_bound)
        object.__setattr__(self, "mask", static_mask(self.mask))

    def init(self, params: PyTree) -> StepByMomoState:
        check_mask_fits(self.mask, params)
        return StepByMomoState(
            step=jnp.zeros((), jnp.int32),
            loss_avg=as_scalar(0),
            # A copy, because the state may be donated but not the transformation.
            lb=jnp.array(as_scalar(self.lower_bound), copy=True),
            grad_dot_w=scalars_like(params),
            grad_avg=zeros_like(params),
        )

    def update(  # type: ignore[override]  # what it needs is required
        self,
        updates: PyTree,
        state: StepByMomoState,
        params: PyTree | None = None,
        *,
        value: Any,
        **extra: Any,
    ) -> tuple[PyTree, StepByMomoState]:
        check_loss(value)
        params = require_params(params, updates, "momo")
        check_shapes(updates, params, ("updates", "params"))
        weight = jnp.where(state.step == 0, 1, as_scalar(1 - self.beta))
        loss_avg = first_moment(state.loss_avg, as_scalar(value), weight)
        grad_dot_w = averaged_products(state.grad_dot_w, updates, params, weight=weight)
        direction, grad_avg = _mean_gradient(updates, state.grad_avg, weight=weight)

        lr = as_scalar(self.lr)
        share = lr * self.weight_decay / (1 + lr * self.weight_decay)
        decays = not is_zero(self.weight_decay)
        part = decaying(params, self.mask) if decays else None
        both = (part, decaying(direction, self.mask)) if decays else None
        model = averaged_model(
            loss_avg - total_of(grad_dot_w), grad_avg, direction, params, both, share
        )
        size, lb = size_and_bound(
            model,
            lr,
            state.lb,
            as_scalar(self.lower_bound),
            1.0,
            self.adapt_lower_bound,
        )
        updates = proximal_step(
            direction, part, size=size, share=share, divide_step=self.divide_step
        )
        return updates, StepByMomoState(
            increment(state.step), loss_avg, lb, grad_dot_w, grad_avg
        )


@factory
def momo(
    lr: Hyperparameter = 1.0,
    beta: Hyperparameter = 0.9,
    weight_decay: Hyperparameter = 0.0,
    *,
    lower_bound: Hyperparameter = 0.0,
    adapt_lower_bound: bool = False,
    divide_step: bool = True,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """MoMo: momentum whose step size is found from the losses.

    ::

        b = 0  at the first step,  else  beta
        f = b * f + (1 - b) * value
        m = b * m + (1 - b) * g
        c = b * c + (1 - b) * <g, p>
        k = 1 + lr * weight_decay
        s = max(k * (f - lb - c) + <m, p>, 0) / |m|^2
        u = (p - min(lr, s) * m) / k - p
        u = p / k - min(lr, s) * m - p                        (without divide_step)

    ``f + <m, x> - c`` averages the linear models of recent losses; the step leads to
    where it equals the lower bound ``lb``. Inner products and norms are over all
    parameters together. ``value``, an extra argument of `update`, is the loss whose
    gradient is ``g``::

        value, grads = jax.value_and_grad(loss)(params, batch)
        updates, state = tx.update(grads, state, params, value=value)

    With ``adapt_lower_bound``, the bound follows the losses: if the model has fallen
    below it, it becomes half of the model's value before the step, and after the step
    ``f + <m, p> - c - min(lr, s) * |m|^2 / 2``, but never less than ``lower_bound``.

    If ``|m|^2`` is below 2.2e-16, there is no step. With a ``mask``, the terms of the
    parameters that do not decay have ``k = 1``.

    **Arguments:**

    - ``lr``: the largest step size.
    - ``beta``: decay rate of the averages, in [0, 1).
    - ``weight_decay``: proximal decay, in units of ``lr``.
    - ``lower_bound``: the minimum of the loss, or a lower bound.
    - ``adapt_lower_bound``: estimate the bound from the losses, if the minimum is not
      known.
    - ``divide_step``: let the decay also divide the step by ``k``, as the authors do;
      False: only the parameters, as optax does.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending: to a gain, whose negative is ``value``.

    Each number may be an array or a schedule.

    **State:** `StepByMomoState`, ``grad_avg`` in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params`` is
    missing or ``value`` is not a scalar; `TypeError` if ``value`` is missing.

    **Source:** Schaipp, Ohana, Eickenberg, Defazio and Gower, "MoMo: Momentum Models
    for Adaptive Learning Rates", 2024,
    [arXiv:2305.07583](https://arxiv.org/abs/2305.07583).
    """
    return assemble(
        step_by_momo(
            lr,
            beta,
            weight_decay,
            lower_bound,
            adapt_lower_bound,
            divide_step,
            mask,
        ),
        lr=None,
        maximize=maximize,
    )
