"""Distance over weighted gradients: DoWG."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from .._checks import check_range
from .._hyperparameters import Hyperparameter, Value
from .._numerics import as_scalar, sqrt
from .._placement import copied, wide_zeros_like
from .._state import PerParameter, Restarting, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree, global_norm
from .._way import compensated, way_back
from ..transforms._scaling import scale_by_learning_rate
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class StepByDowgState(NamedTuple):
    """State of `step_by_dowg`.

    **Fields:**

    - ``estim_sq_dist``: a float scalar, the largest squared distance so far.
    - ``weighted_sq_norm_grads``: the weighted sum of the gradients' squared norms.
    - ``p0``: the initial parameters.
    - ``compensation``: the accumulated rounding error of the updates so far.
    """

    estim_sq_dist: Shared
    weighted_sq_norm_grads: Shared
    p0: PerParameter
    compensation: Restarting


@transformation
class step_by_dowg(GradientTransformation):
    """Steps with the squared distance so far over a weighted sum of gradients.

    The rule: see `dowg`.

    **Arguments:**

    - ``lr``, ``init_estim_sq_dist``, ``eps``: see `dowg`.

    **State:** `StepByDowgState`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params`` is
    missing.
    """

    lr: Value = 1.0
    init_estim_sq_dist: Value | None = None
    eps: Value = 1e-4

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        if self.init_estim_sq_dist is not None:
            check_range("init_estim_sq_dist", self.init_estim_sq_dist, above=0)
        check_range("eps", self.eps, above=0)

    def init(self, params: PyTree) -> StepByDowgState:
        first = self.init_estim_sq_dist
        first = as_scalar(self.eps if first is None else first)
        return StepByDowgState(
            estim_sq_dist=jnp.array(first, copy=True),
            weighted_sq_norm_grads=jnp.zeros((), jnp.result_type(float)),
            p0=copied(params),
            compensation=wide_zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: StepByDowgState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByDowgState]:
        params = require_params(params, updates, "dowg")
        way = way_back(state.compensation, state.p0, params)
        square = jnp.maximum(state.estim_sq_dist, global_norm(way) ** 2)
        total = state.weighted_sq_norm_grads + square * global_norm(updates) ** 2
        size = as_scalar(self.lr) * square / (sqrt(total) + as_scalar(self.eps))
        updates = scale_by_learning_rate(size).apply(updates)
        lost = compensated(state.compensation, params, updates)
        return updates, StepByDowgState(square, total, state.p0, lost)


@factory
def dowg(
    lr: Hyperparameter = 1.0,
    init_estim_sq_dist: Hyperparameter | None = None,
    eps: Hyperparameter = 1e-4,
    weight_decay: Hyperparameter = 0.0,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Gradient descent with the step size "distance over weighted gradients".

    ::

        g = g + weight_decay * p
        r2 = max(r2, ||p - p0||^2)
        W = W + r2 * ||g||^2
        u = -lr * r2 / (sqrt(W) + eps) * g

    where ``p0`` are the initial parameters and the norms are over all parameters
    together. Early gradients have less weight than in `dog`, so the steps adapt more
    boldly.

    **Arguments:**

    - ``lr``: the factor of the step size; leave it at 1.
    - ``init_estim_sq_dist``: the first ``r2``; None: ``eps``.
    - ``eps``: added to the root.
    - ``weight_decay``: L2 penalty.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `StepByDowgState`: two numbers a parameter.

    **Complex parameters:** pass the conjugate of `jax.grad`'s result, as for `sgd`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params``
    is missing.

    **Source:** Khaled, Mishchenko and Jin, "DoWG Unleashed: An Efficient Universal
    Parameter-Free Gradient Descent Method", 2023,
    [arXiv:2305.16284](https://arxiv.org/abs/2305.16284).
    """
    return assemble(
        step_by_dowg(lr, init_estim_sq_dist, eps),
        lr=None,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
