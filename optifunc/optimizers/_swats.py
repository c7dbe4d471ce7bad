"""SWATS: from Adam to SGD in the middle of a run."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
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
from .._placement import zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, inner_product
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleBySwatsState(NamedTuple):
    """State of `scale_by_swats`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, and after the switch,
      their decayed sum.
    - ``exp_avg_sq``: the average of the squared gradients, until the switch.
    - ``exp_avg2``: float [], the average of the learning rates of SGD, from 0 and not
      debiased.
    - ``rate``: float [], the learning rate of SGD as a multiple of Adam's; 0 until the
      switch.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]
    exp_avg2: Shared
    rate: Shared


@elementwise(outputs=3)
def _swats(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    *,
    rate: Array,
    weight: Array,
    square_weight: Array,
    correction: Array,
    square_correction: Array,
    eps: Array,
) -> tuple[Array, Array, Array]:
    velocity = (1 - weight) * exp_avg + updates
    average = first_moment(exp_avg, updates, weight)
    squares = second_moment(exp_avg_sq, updates, square_weight)
    scale = jnp.sqrt(square_correction) / correction
    adam = scale * average / (sqrt(squares) + eps)
    switched = rate > 0
    return (
        jnp.where(switched, rate * weight * velocity, adam),
        jnp.where(switched, velocity, average),
        jnp.where(switched, exp_avg_sq, squares),
    )


@elementwise()
def _restarted(exp_avg: Array, *, switches: Array) -> Array:
    return jnp.where(switches > 0, 0, exp_avg)


@transformation
class scale_by_swats(GradientTransformation):
    """The direction of `swats`.

    **Arguments:**

    - ``betas``, ``eps``, ``tolerance``: see `swats`.

    **State:** `ScaleBySwatsState`.

    **Raises:** what `swats` does.
    """

    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-9
    tolerance: Value = 1e-6

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        check_range("tolerance", self.tolerance, at_least=0)

    def init(self, params: PyTree) -> ScaleBySwatsState:
        return ScaleBySwatsState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
            exp_avg2=as_scalar(0),
            rate=as_scalar(0),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleBySwatsState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleBySwatsState]:
        beta1, beta2 = self.betas
        step = increment(state.step)
        square_correction = one_minus_power(beta2, step)
        direction, exp_avg, exp_avg_sq = _swats(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            rate=state.rate,
            weight=1 - beta1,
            square_weight=1 - beta2,
            correction=one_minus_power(beta1, step),
            square_correction=square_correction,
            eps=self.eps,
        )
        # SGD's step along the gradient that has Adam's as its projection.
        along = inner_product(direction, updates)
        is_known = (along != 0) & (state.rate == 0)
        length = inner_product(direction, direction)
        found = jnp.where(is_known, length / jnp.where(is_known, along, 1), 0)
        average = first_moment(state.exp_avg2, found, as_scalar(1 - beta2))
        exp_avg2 = jnp.where(is_known, average, state.exp_avg2)
        rate = exp_avg2 / square_correction
        settled = jnp.abs(rate - found) <= as_scalar(self.tolerance) * jnp.abs(found)
        # A rate below 0 would climb.
        switches = is_known & (step > 1) & settled & (rate > 0)
        return direction, ScaleBySwatsState(
            step=step,
            exp_avg=_restarted(exp_avg, switches=as_scalar(switches)),
            exp_avg_sq=exp_avg_sq,
            exp_avg2=exp_avg2,
            rate=jnp.where(switches, rate, state.rate),
        )


@factory
def swats(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-9,
    weight_decay: Hyperparameter = 0.0,
    *,
    tolerance: Hyperparameter = 1e-6,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """SWATS: Adam that switches to SGD once it has found SGD's learning rate.

    ::

        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g^2
        d = sqrt(1 - betas[1]^t) / (1 - betas[0]^t) * m / (sqrt(v) + eps)
        r = <d, d> / <d, g>
        a = betas[1] * a + (1 - betas[1]) * r
        rate = a / (1 - betas[1]^t)
        switch after this step if  t > 1  and  |rate - r| <= tolerance * |r|

        m = betas[0] * m + g,  from 0                         (after the switch)
        d = rate * (1 - betas[0]) * m

        u = -lr * (d + weight_decay * p)

    Inner products are over all parameters together. The learning rate of SGD is ``lr *
    rate``, with the ``rate`` at the switch, so a schedule of ``lr`` continues. It never
    switches to a negative rate. `find_in_state` reads ``rate``, which is 0 until the
    switch.

    The authors' tolerance is absolute, 1e-9 for ``lr * rate``; that of
    pytorch_optimizer is relative, and its ``eps`` serves as both.

    **Arguments:**

    - ``lr``: the learning rate of Adam.
    - ``betas``: decay rates of the averages, each in [0, 1).
    - ``eps``: added to the divisor, at least 0.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``tolerance``: how close the estimate of a step must be to their average, at
      least 0.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleBySwatsState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range.

    **Source:** Keskar and Socher, "Improving Generalization Performance by Switching
    from Adam to SGD", 2017, [arXiv:1712.07628](https://arxiv.org/abs/1712.07628).
    """
    return assemble(
        scale_by_swats(betas, eps, tolerance),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
