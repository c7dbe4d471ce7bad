"""AdEMAMix with one average."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import increment, one_minus_power, second_moment, sqrt
from .._placement import zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleBySimplifiedAdemamixState(NamedTuple):
    """State of `scale_by_simplified_ademamix`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_sum``: the decayed sum of each parameter's gradients.
    - ``exp_avg_sq``: the average of their squares, from 0 and not debiased.
    """

    step: Shared
    exp_sum: PerParameter
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]


@elementwise(outputs=3)
def _simplified_ademamix(
    updates: Array,
    exp_sum: Array,
    exp_avg_sq: Array,
    *,
    weight1: Array,
    weight2: Array,
    alpha: Array,
    scale: Array,
    eps: Array,
    eps_root: Array | None,
) -> tuple[Array, Array, Array]:
    exp_sum = exp_sum - weight1 * exp_sum + updates
    exp_avg_sq = second_moment(exp_avg_sq, updates, weight2)
    mixed = scale * (exp_sum + alpha * updates)
    square = exp_avg_sq if eps_root is None else exp_avg_sq + eps_root
    return mixed / (sqrt(square) + eps), exp_sum, exp_avg_sq


@transformation
class scale_by_simplified_ademamix(GradientTransformation):
    """Adam's direction from a sum of the gradients plus the latest one.

    The rule: see `simplified_ademamix`.

    **Arguments:**

    - ``betas``, ``alpha``, ``eps``: see `simplified_ademamix`.
    - ``eps_root``: added to the corrected mean square under the root; None: nothing.

    **State:** `ScaleBySimplifiedAdemamixState`.

    **Raises:** `ValueError` for a number out of range.
    """

    betas: tuple[Value, Value] = (0.99, 0.95)
    alpha: Value = 0.0
    eps: Value = 1e-8
    _: dataclasses.KW_ONLY
    eps_root: Value | None = None

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("alpha", self.alpha, at_least=0)
        check_range("eps", self.eps, at_least=0)
        if self.eps_root is not None:
            check_range("eps_root", self.eps_root, at_least=0)

    def init(self, params: PyTree) -> ScaleBySimplifiedAdemamixState:
        return ScaleBySimplifiedAdemamixState(
            step=jnp.zeros((), jnp.int32),
            exp_sum=zeros_like(params),
            exp_avg_sq=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleBySimplifiedAdemamixState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleBySimplifiedAdemamixState]:
        beta1, beta2 = self.betas
        step = increment(state.step)
        root_correction2 = jnp.sqrt(one_minus_power(beta2, step))
        updates, exp_sum, exp_avg_sq = _simplified_ademamix(
            updates,
            state.exp_sum,
            state.exp_avg_sq,
            weight1=1 - beta1,
            weight2=1 - beta2,
            alpha=self.alpha,
            scale=root_correction2,
            eps=root_correction2 * self.eps,
            eps_root=None
            if self.eps_root is None
            else root_correction2 * root_correction2 * self.eps_root,
        )
        return updates, ScaleBySimplifiedAdemamixState(step, exp_sum, exp_avg_sq)


@factory
def simplified_ademamix(
    lr: Hyperparameter = 1e-5,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.99, 0.95),
    alpha: Hyperparameter = 0.0,
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """AdEMAMix with one average: a long memory, plus the latest gradient.

    ::

        m = betas[0] * m + g
        v = betas[1] * v + (1 - betas[1]) * g^2
        d = (m + alpha * g) / (sqrt(v / (1 - betas[1]^t)) + eps)
        u = -lr * (d + weight_decay * p)

    ``m`` is a sum, ``1 / (1 - betas[0])`` times as large as an average: the learning
    rate must be smaller than Adam's by that factor.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the sum and of the average of the squares, each in
      [0, 1).
    - ``alpha``: the weight of the latest gradient relative to the sum, at least 0.
    - ``eps``: added to the root, after its correction.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleBySimplifiedAdemamixState`, its trees in the parameters' shapes and
    dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing.

    **Source:** Morwani et al., "Connections between Schedule-Free Optimizers, AdEMAMix,
    and Accelerated SGD Variants", 2025,
    [arXiv:2502.02431](https://arxiv.org/abs/2502.02431).
    """
    return assemble(
        scale_by_simplified_ademamix(betas, alpha, eps),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
