"""AdaBelief."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import (
    first_moment,
    increment,
    one_minus_power,
    second_moment,
    sqrt,
)
from .._placement import zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleByAdabeliefState(NamedTuple):
    """State of `scale_by_adabelief`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``exp_avg_var``: the same for their squared distances from it.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_var: Annotated[NonNegative, Keeps("betas", 1)]


@elementwise(outputs=3)
def _adabelief(
    updates: Array,
    exp_avg: Array,
    exp_avg_var: Array,
    *,
    weight1: Array,
    weight2: Array,
    mean_scale: Array,
    grad_scale: Array,
    root_correction2: Array,
    eps: Array,
    eps_root: Array,
) -> tuple[Array, Array, Array]:
    exp_avg = first_moment(exp_avg, updates, weight1)
    exp_avg_var = second_moment(exp_avg_var, updates - exp_avg, weight2) + eps_root
    deviation = sqrt(exp_avg_var) / root_correction2 + eps
    mean = mean_scale * exp_avg + grad_scale * updates
    return mean / deviation, exp_avg, exp_avg_var


@transformation
class scale_by_adabelief(GradientTransformation):
    """Divide the mean of the gradients by the root of their variance.

    The rule: see `adabelief`.

    **Arguments:**

    - ``betas``, ``eps``, ``eps_root``, ``nesterov``: see `adabelief`.

    **State:** `ScaleByAdabeliefState`.

    **Raises:** `ValueError` for a number out of range.
    """

    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-16
    eps_root: Value = 1e-16
    nesterov: bool = static(default=False)

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        check_range("eps_root", self.eps_root, at_least=0)

    def init(self, params: PyTree) -> ScaleByAdabeliefState:
        return ScaleByAdabeliefState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_var=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByAdabeliefState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByAdabeliefState]:
        beta1, beta2 = self.betas
        step = increment(state.step)
        correction1 = one_minus_power(beta1, step)
        updates, *trees = _adabelief(
            updates,
            state.exp_avg,
            state.exp_avg_var,
            weight1=1 - beta1,
            weight2=1 - beta2,
            mean_scale=(
                beta1 / one_minus_power(beta1, increment(step))
                if self.nesterov
                else 1 / correction1
            ),
            grad_scale=(1 - beta1) / correction1 if self.nesterov else 0.0,
            root_correction2=jnp.sqrt(one_minus_power(beta2, step)),
            eps=self.eps,
            eps_root=self.eps_root,
        )
        return updates, ScaleByAdabeliefState(step, *trees)


@factory
def adabelief(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-16,
    weight_decay: Hyperparameter = 0.0,
    *,
    eps_root: Hyperparameter = 1e-16,
    nesterov: bool = False,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """AdaBelief: Adam with large steps where gradients are as expected.

    ::

        m = betas[0] * m + (1 - betas[0]) * g
        s = betas[1] * s + (1 - betas[1]) * (g - m)^2 + eps_root
        n = m / (1 - betas[0]^t)
        n = betas[0] * m / (1 - betas[0]^(t+1))
              + (1 - betas[0]) * g / (1 - betas[0]^t)         (nesterov)
        d = n / (sqrt(s / (1 - betas[1]^t)) + eps)
        u = -lr * (d + weight_decay * p)

    ``eps_root`` is added to the stored average in every step, which limits how far
    ``s`` can fall: to ``eps_root / (1 - betas[1])``. If a gradient stays the same,
    ``s`` does fall, and nothing else limits the growth of the steps; that is the
    method. The paper uses 1e-8 for both numbers for images, and 1e-16 for language.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the mean and of the variance, each in [0, 1).
    - ``eps``: added to the root, after its correction.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``eps_root``: added to the variance in every step.
    - ``nesterov``: look ahead by one step of the mean.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByAdabeliefState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing.

    **Source:** Zhuang et al., "AdaBelief Optimizer: Adapting Stepsizes by the Belief in
    Observed Gradients", 2020, [arXiv:2010.07468](https://arxiv.org/abs/2010.07468). The
    additional rectification in the authors' package is left out.
    """
    return assemble(
        scale_by_adabelief(betas, eps, eps_root, nesterov),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
