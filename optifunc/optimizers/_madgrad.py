"""MADGRAD."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import as_scalar, increment, is_zero
from .._placement import zeros_like
from .._state import NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory
from ._options import check_option


class StepByMadgradState(NamedTuple):
    """State of `step_by_madgrad`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``grad_sum_sq``: the weighted sum of each parameter's squared gradients.
    - ``s``: the same for the gradients.
    - ``x0``: a copy of the initial parameters; None without ``averaging``.
    """

    step: Shared
    grad_sum_sq: NonNegative
    s: PerParameter
    x0: PerParameter | None


def _quotient(s: Array, grad_sum_sq: Array, eps: Array) -> Array:
    """``s / (cbrt(grad_sum_sq) + eps)``, or 0 where all gradients so far were 0.

    The root has no derivative there.
    """
    is_known = grad_sum_sq > 0
    root = jnp.cbrt(jnp.where(is_known, grad_sum_sq, 1))
    return jnp.where(is_known, s / (root + eps), 0)


@elementwise(outputs=3)
def _madgrad(
    updates: Array,
    grad_sum_sq: Array,
    s: Array,
    x0: Array | None,
    params: Array,
    *,
    weight: Array,
    share: Array,
    eps: Array,
) -> tuple[Array, Array, Array]:
    if x0 is None:
        x0 = params + _quotient(s, grad_sum_sq, eps)
    grad_sum_sq = grad_sum_sq + weight * updates * updates
    s = s + weight * updates
    return share * (x0 - _quotient(s, grad_sum_sq, eps) - params), grad_sum_sq, s


@transformation
class step_by_madgrad(GradientTransformation):
    """MADGRAD's step.

    The rule: see `madgrad`. The learning rate is an argument because it weights the
    gradients in both sums.

    **Arguments:**

    - ``lr``, ``momentum``, ``eps``: see `madgrad`.
    - ``averaging``: whether to average the iterates, for which the first parameters are
      kept; otherwise ``momentum`` must be 0.

    **State:** `StepByMadgradState`.

    **Raises:** `ValueError` for a number out of range; at `update` if ``params`` is
    missing, and for a state that was made with the other value of ``averaging``.
    """

    lr: Value = 1e-2
    momentum: Value = 0.9
    eps: Value = 1e-6
    averaging: bool = static(default=True)

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_range("momentum", self.momentum, at_least=0, below=1)
        check_range("eps", self.eps, at_least=0)

    def init(self, params: PyTree) -> StepByMadgradState:
        return StepByMadgradState(
            step=jnp.zeros((), jnp.int32),
            grad_sum_sq=zeros_like(params),
            s=zeros_like(params),
            # Copies, because parameters and state may both be donated.
            x0=jax.tree.map(lambda p: jnp.array(p, copy=True), params)
            if self.averaging
            else None,
        )

    def update(
        self,
        updates: PyTree,
        state: StepByMadgradState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByMadgradState]:
        check_option(self, "averaging", state.x0, state.s)
        params = require_params(params, updates, "madgrad")
        step = increment(state.step)
        lr = as_scalar(self.lr)
        updates, grad_sum_sq, s = _madgrad(
            updates,
            state.grad_sum_sq,
            state.s,
            state.x0,
            params,
            # A learning rate of 0 adds nothing.
            weight=jnp.where(lr > 0, lr + self.eps, 0) * jnp.sqrt(as_scalar(step)),
            share=1 - self.momentum if self.averaging else 1.0,
            eps=self.eps,
        )
        return updates, StepByMadgradState(step, grad_sum_sq, s, state.x0)


@factory
def madgrad(
    lr: Hyperparameter = 1e-2,
    momentum: Hyperparameter = 0.9,
    weight_decay: Hyperparameter = 0.0,
    eps: Hyperparameter = 1e-6,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """MADGRAD: dual averaging, divided by the cube root of the sum of squares.

    ::

        g = g + weight_decay * p
        w = (lr + eps) * sqrt(t),  or  0  where lr is 0
        G = G + w * g^2
        s = s + w * g
        z = x0 - s / (cbrt(G) + eps)
        u = (1 - momentum) * (z - p)

    ``x0`` are the parameters before the first update. Every step starts from there, so
    nothing else may change the parameters.

    **Arguments:**

    - ``lr``: the learning rate. Good ones are other than those of SGD or Adam; it is
      worth a sweep of powers of 2.
    - ``momentum``: the weight of the old parameters in the new ones, in [0, 1) (the
      number 0: ``x0`` is computed instead of stored).
    - ``weight_decay``: L2 penalty. Values for SGD are too large here; often none is
      needed.
    - ``eps``: added to the root, and to the learning rate.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `StepByMadgradState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params``
    is missing.

    **Source:** Defazio and Jelassi, "Adaptivity without Compromise: A Momentumized,
    Adaptive, Dual Averaged Gradient Method for Stochastic Optimization", 2021,
    [arXiv:2101.11075](https://arxiv.org/abs/2101.11075).
    """
    return assemble(
        step_by_madgrad(lr, momentum, eps, averaging=not is_zero(momentum)),
        lr=None,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
