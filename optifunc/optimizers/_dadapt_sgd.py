"""Gradient descent with D-Adaptation."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import as_scalar, increment
from .._placement import copied, wide_zeros_like
from .._state import PerParameter, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree, global_norm, inner_product
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._dadaptation import raised_estimate, step_from_start
from ._factory import factory


class StepByDadaptSgdState(NamedTuple):
    """State of `step_by_dadapt_sgd`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``d``: a float scalar, the estimate that multiplies the learning rate.
    - ``numerator_weighted``: the sum of products of gradients and displacements.
    - ``g0_norm``: the norm of the first nonzero gradient; 0 before it.
    - ``s``: the sum of each parameter's steps.
    - ``p0``: the initial parameters.
    """

    step: Shared
    d: Shared
    numerator_weighted: Shared
    g0_norm: Shared
    s: PerParameter
    p0: PerParameter


@elementwise()
def plus_scaled(s: Array, updates: Array, *, dlr: Array) -> Array:
    """``s + dlr * updates``, in the dtype of ``s``."""
    return s + dlr * updates


@transformation
class step_by_dadapt_sgd(GradientTransformation):
    """Steps along the gradient, with a learning rate that bounds a distance.

    The rule: see `dadapt_sgd`.

    **Arguments:**

    - ``lr``, ``momentum``, ``d0``, ``growth_rate``: see `dadapt_sgd`.

    **State:** `StepByDadaptSgdState`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params`` is
    missing.
    """

    lr: Value = 1.0
    momentum: Value = 0.0
    d0: Value = 1e-6
    growth_rate: Value = math.inf

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_range("momentum", self.momentum, at_least=0, below=1)
        check_range("d0", self.d0, above=0)
        check_range("growth_rate", self.growth_rate, above=0)

    def init(self, params: PyTree) -> StepByDadaptSgdState:
        return StepByDadaptSgdState(
            step=jnp.zeros((), jnp.int32),
            d=jnp.array(as_scalar(self.d0), copy=True),
            numerator_weighted=jnp.zeros((), jnp.result_type(float)),
            g0_norm=jnp.zeros((), jnp.result_type(float)),
            s=wide_zeros_like(params),
            p0=copied(params),
        )

    def update(
        self,
        updates: PyTree,
        state: StepByDadaptSgdState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByDadaptSgdState]:
        params = require_params(params, updates, "dadapt_sgd")
        norm = jnp.where(state.g0_norm > 0, state.g0_norm, global_norm(updates))
        dlr = state.d * as_scalar(self.lr) / jnp.where(norm > 0, norm, 1)
        product = dlr * inner_product(updates, state.s)
        numerator = state.numerator_weighted + product
        s = plus_scaled(state.s, updates, dlr=dlr)
        d = raised_estimate(state.d, 2 * numerator, global_norm(s), self.growth_rate)
        updates = step_from_start(
            updates, s, state.p0, params, share=1 - as_scalar(self.momentum)
        )
        return updates, StepByDadaptSgdState(
            increment(state.step), d, numerator, norm, s, state.p0
        )


@factory
def dadapt_sgd(
    lr: Hyperparameter = 1.0,
    momentum: Hyperparameter = 0.0,
    weight_decay: Hyperparameter = 0.0,
    d0: Hyperparameter = 1e-6,
    growth_rate: Hyperparameter = math.inf,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Gradient descent that finds its learning rate by D-Adaptation.

    ::

        g = g + weight_decay * p
        dlr = d * lr / ||g_1||
        N = N + dlr * <g, s>
        s = s + dlr * g
        d = max(d, min(2 * N / ||s||, d * growth_rate))
        u = (1 - momentum) * (p0 - s - p)

    where ``g_1`` is the first gradient and ``p0`` are the initial parameters. ``d``
    starts as ``d0``, and sums and norms are over all parameters. Leave the learning
    rate at 1, or use a schedule that ends at 0. ``of.find_in_state(state, "d")``
    returns the estimate. Use one optimizer for all parameters: in a `partition`, each
    label has its own estimate.

    **Arguments:**

    - ``lr``: the factor of the estimate.
    - ``momentum``: the weight of a parameter's old value in a step, in [0, 1).
    - ``weight_decay``: L2 penalty.
    - ``d0``: the initial estimate, which should be too small rather than too large.
    - ``growth_rate``: the largest factor by which ``d`` may grow in one step.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `StepByDadaptSgdState`, its trees in the parameters' shapes and in at
    least float32.

    **Complex parameters:** see `adam`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params`` is
    missing.

    **Source:** Defazio and Mishchenko, "Learning-Rate-Free Learning by D-Adaptation",
    2023, [arXiv:2301.07733](https://arxiv.org/abs/2301.07733).
    """
    return assemble(
        step_by_dadapt_sgd(lr, momentum, d0, growth_rate),
        lr=None,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
