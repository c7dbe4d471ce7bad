"""COCOB."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._placement import copied, full_like, wide_zeros_like
from .._state import NonNegative, PerParameter, Restarting
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree
from .._way import compensated, way_back
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class StepByCocobState(NamedTuple):
    """State of `step_by_cocob`.

    **Fields:**

    - ``scale``: the largest size of each element's gradients, from ``eps``.
    - ``grad_norm_sum``: the sum of these sizes.
    - ``reward``: what was won by following the gradients.
    - ``subgradients``: the negative sum of the gradients.
    - ``p0``: the initial parameters.
    - ``compensation``: the accumulated rounding error of the updates so far.
    """

    scale: NonNegative
    grad_norm_sum: NonNegative
    reward: NonNegative
    subgradients: PerParameter
    p0: PerParameter
    compensation: Restarting


@elementwise(outputs=5)
def _cocob(
    updates: Array,
    scale: Array,
    grad_norm_sum: Array,
    reward: Array,
    subgradients: Array,
    way: Array,
    *,
    lr: Array,
    alpha: Array,
) -> tuple[Array, Array, Array, Array, Array]:
    grad = lr * updates
    size = jnp.abs(grad)
    scale = jnp.maximum(scale, size)
    grad_norm_sum = grad_norm_sum + size
    reward = jnp.maximum(reward + grad * way, 0)
    subgradients = subgradients - grad
    # Before the first gradient, with eps = 0, nothing is bet.
    bound = scale * jnp.maximum(grad_norm_sum + scale, alpha * scale)
    share = subgradients / jnp.where(bound > 0, bound, 1)
    # From p0, not from the current parameters.
    updates = share * (scale + reward) + way
    return updates, scale, grad_norm_sum, reward, subgradients


@transformation
class step_by_cocob(GradientTransformation):
    """Steps to the wealth of a gambler who bets on the signs of the gradients.

    The rule: see `cocob`.

    **Arguments:**

    - ``lr``, ``alpha``, ``eps``: see `cocob`.

    **State:** `StepByCocobState`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params`` is
    missing.
    """

    lr: Value = 1.0
    alpha: Value = 100.0
    eps: Value = 1e-8

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_range("alpha", self.alpha, above=0)
        check_range("eps", self.eps, at_least=0)

    def init(self, params: PyTree) -> StepByCocobState:
        zeros = wide_zeros_like(params)
        return StepByCocobState(
            scale=full_like(zeros, self.eps, both_parts=True),
            grad_norm_sum=zeros,
            reward=wide_zeros_like(params),
            subgradients=wide_zeros_like(params),
            p0=copied(params),
            compensation=wide_zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: StepByCocobState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByCocobState]:
        params = require_params(params, updates, "cocob")
        updates, scale, grad_norm_sum, reward, subgradients = _cocob(
            updates,
            state.scale,
            state.grad_norm_sum,
            state.reward,
            state.subgradients,
            way_back(state.compensation, state.p0, params),
            lr=self.lr,
            alpha=self.alpha,
        )
        return updates, StepByCocobState(
            scale,
            grad_norm_sum,
            reward,
            subgradients,
            state.p0,
            compensated(state.compensation, params, updates),
        )


@factory
def cocob(
    lr: Hyperparameter = 1.0,
    alpha: Hyperparameter = 100.0,
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Continuous coin betting: each element bets on the sign of its next gradient.

    ::

        g = lr * (g + weight_decay * p)
        L = max(L, |g|),  G = G + |g|
        R = max(R - g * (p - p0), 0)
        C = C - g
        p = p0 + C / (L * max(G + L, alpha * L)) * (L + R)

    where ``p0`` are the initial parameters, ``L`` starts as ``eps``, and everything
    else as 0. There is no learning rate: ``lr`` scales the gradients and, except for
    ``eps``, changes nothing. It must be the last member of a chain, because it sets the
    parameters directly.

    **Arguments:**

    - ``lr``: the factor of the gradients; leave it at 1.
    - ``alpha``: how small the first bets are.
    - ``eps``: the initial bound of the gradients.
    - ``weight_decay``: L2 penalty.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `StepByCocobState`: six numbers a parameter.

    **Complex parameters:** see `adam`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params``
    is missing.

    **Source:** Orabona and Tommasi, "Training Deep Networks without Learning Rates
    Through Coin Betting", 2017, [arXiv:1705.07795](https://arxiv.org/abs/1705.07795).
    """
    return assemble(
        step_by_cocob(lr, alpha, eps),
        lr=None,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
