"""diffGrad."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
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


class ScaleByDiffgradState(NamedTuple):
    """State of `scale_by_diffgrad`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``exp_avg_sq``: the same for their squares.
    - ``previous_grad``: the last gradient, initially 0.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]
    previous_grad: PerParameter


@elementwise(outputs=4)
def _diffgrad(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    previous_grad: Array,
    *,
    weight1: Array,
    weight2: Array,
    scale: Array,
    eps: Array,
) -> tuple[Array, Array, Array, Array]:
    exp_avg = first_moment(exp_avg, updates, weight1)
    exp_avg_sq = second_moment(exp_avg_sq, updates, weight2)
    friction = jax.nn.sigmoid(jnp.abs(previous_grad - updates))
    direction = scale * friction * exp_avg / (sqrt(exp_avg_sq) + eps)
    return direction, exp_avg, exp_avg_sq, updates


@transformation
class scale_by_diffgrad(GradientTransformation):
    """Adam's direction, shorter where the gradient does not change.

    The rule: see `diffgrad`.

    **Arguments:**

    - ``betas``, ``eps``: see `diffgrad`.

    **State:** `ScaleByDiffgradState`.

    **Raises:** `ValueError` for a number out of range.
    """

    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-8

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)

    def init(self, params: PyTree) -> ScaleByDiffgradState:
        return ScaleByDiffgradState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
            previous_grad=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByDiffgradState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByDiffgradState]:
        beta1, beta2 = self.betas
        step = increment(state.step)
        root_correction2 = jnp.sqrt(one_minus_power(beta2, step))
        updates, *trees = _diffgrad(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            state.previous_grad,
            weight1=1 - beta1,
            weight2=1 - beta2,
            scale=root_correction2 / one_minus_power(beta1, step),
            eps=self.eps,
        )
        return updates, ScaleByDiffgradState(step, *trees)


@factory
def diffgrad(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """diffGrad: Adam with friction where the gradient does not change.

    ::

        f = 1 / (1 + exp(-|g' - g|))                          (g' of the last step)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g^2
        d = f * m / (sqrt(v) + eps) * sqrt(1 - betas[1]^t) / (1 - betas[0]^t)
        u = -lr * (d + weight_decay * p)

    ``f`` is 1/2 for a constant gradient and nearly 1 for one that changes by 5. Unlike
    Adam, it depends on the gradient's scale.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``eps``: added to the root, before its correction.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByDiffgradState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing.

    **Source:** Dubey, Chakraborty, Roy and others, "diffGrad: An Optimization Method
    for Convolutional Neural Networks", 2019,
    [arXiv:1909.11015](https://arxiv.org/abs/1909.11015).
    """
    return assemble(
        scale_by_diffgrad(betas, eps),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
