"""Optimistic gradient descent and optimistic Adam."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import increment
from .._placement import zeros_like
from .._state import PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._adam import scale_by_adam
from ._assemble import assemble
from ._factory import factory


class ScaleByOptimismState(NamedTuple):
    """State of `scale_by_optimism`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``previous``: each parameter's incoming update in the last step.
    """

    step: Shared
    previous: PerParameter


@elementwise(outputs=2)
def _optimistic(
    updates: Array, previous: Array, *, alpha: Array, beta: Array
) -> tuple[Array, Array]:
    return alpha * updates + beta * (updates - previous), updates


@transformation
class scale_by_optimism(GradientTransformation):
    """Add the change since the last update, as if it would happen again.

    ::

        u = alpha * g + beta * (g - g_before)

    For the first update, ``u = alpha * g``.

    **Arguments:**

    - ``alpha``: the factor of the updates, at least 0.
    - ``beta``: the factor of their change, at least 0.

    **State:** `ScaleByOptimismState`.

    **Raises:** `ValueError` for a number out of range.

    **Source:** see `optimistic_gradient_descent`.
    """

    alpha: Value = 1.0
    beta: Value = 1.0

    def __post_init__(self) -> None:
        check_range("alpha", self.alpha, at_least=0)
        check_range("beta", self.beta, at_least=0)

    def init(self, params: PyTree) -> ScaleByOptimismState:
        return ScaleByOptimismState(jnp.zeros((), jnp.int32), zeros_like(params))

    def update(
        self,
        updates: PyTree,
        state: ScaleByOptimismState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByOptimismState]:
        updates, previous = _optimistic(
            updates,
            state.previous,
            alpha=self.alpha,
            beta=jnp.where(state.step == 0, 0.0, self.beta),
        )
        return updates, ScaleByOptimismState(increment(state.step), previous)


@factory
def optimistic_gradient_descent(
    lr: Hyperparameter = 1e-3,
    alpha: Hyperparameter = 1.0,
    beta: Hyperparameter = 1.0,
    weight_decay: Hyperparameter = 0.0,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Gradient descent that expects the gradient to change as in the last step.

    ::

        g = g + weight_decay * p
        u = -lr * (alpha * g + beta * (g - g_before))         (first step: beta = 0)

    In a two-player game, in which plain descent and ascent spiral outward, both players
    converge with it. Give each player separate parameters, and one of them
    ``maximize=True``, or the gradients of separate losses.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``alpha``: the factor of the gradient, at least 0.
    - ``beta``: the factor of its change, at least 0; 0 is plain gradient descent.
    - ``weight_decay``: L2 penalty.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByOptimismState`, ``previous`` in the parameters' shapes and
    dtypes.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing.

    **Source:** Daskalakis, Ilyas, Syrgkanis and Zeng, "Training GANs with Optimism",
    2018, [arXiv:1711.00141](https://arxiv.org/abs/1711.00141); with two factors:
    Mokhtari, Ozdaglar and Pattathil, 2020,
    [arXiv:1901.08511](https://arxiv.org/abs/1901.08511).
    """
    return assemble(
        scale_by_optimism(alpha, beta),
        lr=lr,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )


@factory
def optimistic_adam(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    *,
    alpha: Hyperparameter = 1.0,
    beta: Hyperparameter = 1.0,
    nesterov: bool = False,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Adam that expects its step to change as in the last step.

    ::

        d = the direction of adam
        u = -lr * (alpha * d + beta * (d - d_before) + weight_decay * p)

    At the first step ``beta`` counts as 0. The paper has ``alpha = beta = 1``; optax's
    ``optimistic_adam_v2`` has the same arguments and ``nesterov=True``, and its
    ``optimistic_adam(lr, optimism)`` is ``alpha=1`` and ``beta=optimism / lr`` here.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``eps``: added to the root, after its correction.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``alpha``: the factor of Adam's direction, at least 0.
    - ``beta``: the factor of its change, at least 0.
    - ``nesterov``: Adam's direction with Nesterov's look ahead, see `adam`.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByAdamState` and `ScaleByOptimismState`, their trees in the
    parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing.

    **Source:** see `optimistic_gradient_descent`.
    """
    return assemble(
        scale_by_adam(betas, eps, nesterov=nesterov),
        scale_by_optimism(alpha, beta),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
