"""Adagrad with D-Adaptation."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import as_scalar, increment
from .._placement import copied, full_like, wide_zeros_like
from .._state import NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree, inner_product, sum_norm
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._dadapt_sgd import plus_scaled
from ._dadaptation import divided_by_root, raised_estimate, step_from_start
from ._factory import factory

# The initial value of the sums of squares.
_FIRST_SQUARE = 1e-6


class StepByDadaptAdagradState(NamedTuple):
    """State of `step_by_dadapt_adagrad`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``d``: a float scalar, the estimate that multiplies the learning rate.
    - ``gsq_weighted``: the sum of the steps' squares, weighted by their divisors.
    - ``alphak``: the sum of each parameter's squared gradients, from 1e-6.
    - ``sk``: the sum of each parameter's steps before their division.
    - ``p0``: the initial parameters.
    """

    step: Shared
    d: Shared
    gsq_weighted: Shared
    alphak: NonNegative
    sk: PerParameter
    p0: PerParameter


@elementwise()
def _plus_squares(alphak: Array, updates: Array) -> Array:
    return alphak + updates * updates


@transformation
class step_by_dadapt_adagrad(GradientTransformation):
    """Adagrad's steps, with a learning rate that bounds a distance.

    The rule: see `dadapt_adagrad`.

    **Arguments:**

    - ``lr``, ``momentum``, ``eps``, ``d0``, ``growth_rate``: see `dadapt_adagrad`.

    **State:** `StepByDadaptAdagradState`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params`` is
    missing.
    """

    lr: Value = 1.0
    momentum: Value = 0.0
    eps: Value = 1e-6
    d0: Value = 1e-6
    growth_rate: Value = math.inf

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_range("momentum", self.momentum, at_least=0, below=1)
        check_range("eps", self.eps, at_least=0)
        check_range("d0", self.d0, above=0)
        check_range("growth_rate", self.growth_rate, above=0)

    def init(self, params: PyTree) -> StepByDadaptAdagradState:
        return StepByDadaptAdagradState(
            step=jnp.zeros((), jnp.int32),
            d=jnp.array(as_scalar(self.d0), copy=True),
            gsq_weighted=jnp.zeros((), jnp.result_type(float)),
            alphak=full_like(wide_zeros_like(params), _FIRST_SQUARE, both_parts=True),
            sk=wide_zeros_like(params),
            p0=copied(params),
        )

    def update(
        self,
        updates: PyTree,
        state: StepByDadaptAdagradState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByDadaptAdagradState]:
        params = require_params(params, updates, "dadapt_adagrad")
        dlr = state.d * as_scalar(self.lr)
        alphak = _plus_squares(state.alphak, updates)
        sk = plus_scaled(state.sk, updates, dlr=dlr)
        squares = inner_product(updates, divided_by_root(updates, alphak, eps=self.eps))
        gsq_weighted = state.gsq_weighted + dlr * dlr * squares
        way = divided_by_root(sk, alphak, eps=self.eps)
        numerator = inner_product(sk, way) - gsq_weighted
        d = raised_estimate(state.d, numerator, sum_norm(sk), self.growth_rate)
        updates = step_from_start(
            updates, way, state.p0, params, share=1 - as_scalar(self.momentum)
        )
        return updates, StepByDadaptAdagradState(
            increment(state.step), d, gsq_weighted, alphak, sk, state.p0
        )


@factory
def dadapt_adagrad(
    lr: Hyperparameter = 1.0,
    momentum: Hyperparameter = 0.0,
    weight_decay: Hyperparameter = 0.0,
    eps: Hyperparameter = 1e-6,
    d0: Hyperparameter = 1e-6,
    growth_rate: Hyperparameter = math.inf,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Adagrad that finds its learning rate by D-Adaptation.

    ::

        g = g + weight_decay * p
        dlr = d * lr
        a = a + g^2                                           (from 1e-6)
        s = s + dlr * g
        G = G + dlr^2 * sum(g^2 / (sqrt(a) + eps))
        N = sum(s^2 / (sqrt(a) + eps)) - G
        d = max(d, min(N / |s|_1, d * growth_rate))
        u = (1 - momentum) * (p0 - s / (sqrt(a) + eps) - p)

    where ``p0`` are the initial parameters. ``d`` starts as ``d0``, and sums and norms
    are over all parameters. Leave the learning rate at 1, or use a schedule that ends
    at 0. ``of.find_in_state(state, "d")`` returns the estimate. Use one optimizer for
    all parameters: in a `partition`, each label has its own estimate.

    **Arguments:**

    - ``lr``: the factor of the estimate.
    - ``momentum``: the weight of a parameter's old value in a step, in [0, 1).
    - ``weight_decay``: L2 penalty.
    - ``eps``: added to the root.
    - ``d0``: the initial estimate, which should be too small rather than too large.
    - ``growth_rate``: the largest factor by which ``d`` may grow in one step.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `StepByDadaptAdagradState`, its trees in the parameters' shapes and in at
    least float32.

    **Complex parameters:** see `adam`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params`` is
    missing.

    **Source:** Defazio and Mishchenko, "Learning-Rate-Free Learning by D-Adaptation",
    2023, [arXiv:2301.07733](https://arxiv.org/abs/2301.07733).
    """
    return assemble(
        step_by_dadapt_adagrad(lr, momentum, eps, d0, growth_rate),
        lr=None,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
