"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_lr, check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import Scalar, as_scalar, increment
from .._placement import zeros_like
from .._state import PerParameter, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class StepByAsgdState(NamedTuple):
    """State of `step_by_asgd`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``eta``: float32 [] as in torch, the step size of the next update.
    - ``mu``: float32 [], the weight of the next iterate in the average.
    - ``ax``: the average of each parameter's iterates.
    """

    step: Shared
    eta: Shared
    mu: Shared
    ax: PerParameter


@elementwise(outputs=2)
def _asgd(
    updates: Array, ax: Array, params: Array, *, eta: Array, mu: Array, lambd: Array
) -> tuple[Array, Array]:
    new_updates = -eta * (lambd * params + updates)
    new_params = params + new_updates
    ax = jnp.where(mu == 1, new_params, ax + mu * (new_params - ax))
    return new_updates, ax


def asgd_step_size(step: Array, lr: Scalar, lambd: Scalar, alpha: Scalar) -> Array:
    """``lr / (1 + lambd * lr * t)^alpha``."""
    return lr / (1 + (lambd * lr) * as_scalar(step)) ** alpha


@transformation
class step_by_asgd(GradientTransformation):
    """Descend with a decreasing step size, and average the iterates.

    The rule: see `asgd`.

    **Arguments:**

    - ``lr``, ``lambd``, ``alpha``, ``t0``: see `asgd`.

    **State:** `StepByAsgdState`.

    **Raises:** `ValueError` for a negative ``lr``, for NaN, and at `update` if
    ``params`` is missing.
    """

    lr: Value = 1e-2
    lambd: Value = 1e-4
    alpha: Value = 0.75
    t0: Value = 1e6

    def __post_init__(self) -> None:
        check_lr(self.lr)
        check_range("lambd", self.lambd)
        check_range("alpha", self.alpha)
        check_range("t0", self.t0)

    def init(self, params: PyTree) -> StepByAsgdState:
        return StepByAsgdState(
            step=jnp.zeros((), jnp.int32),
            # A copy, because the state may be donated but not the transformation.
            eta=jnp.array(as_scalar(self.lr), jnp.float32, copy=True),
            mu=jnp.ones((), jnp.float32),
            ax=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: StepByAsgdState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByAsgdState]:
        params = require_params(params, updates, "asgd")
        updates, ax = _asgd(
            updates, state.ax, params, eta=state.eta, mu=state.mu, lambd=self.lambd
        )
        step = increment(state.step)
        eta = asgd_step_size(step, self.lr, self.lambd, self.alpha)
        mu = 1 / jnp.maximum(1, as_scalar(step) - self.t0)
        return updates, StepByAsgdState(
            step, eta.astype(jnp.float32), mu.astype(jnp.float32), ax
        )


@factory
def asgd(
    lr: Hyperparameter = 1e-2,
    lambd: Hyperparameter = 1e-4,
    alpha: Hyperparameter = 0.75,
    t0: Hyperparameter = 1e6,
    weight_decay: Hyperparameter = 0.0,
    maximize: bool = False,
    *,
    mask: Mask | None = None,
) -> GradientTransformation:
    """`torch.optim.ASGD`: gradient descent that also averages its iterates.

    ::

        g = g + weight_decay * p
        u = -eta * (g + lambd * p)
        ax = p + u  if mu = 1,  else  ax + mu * (p + u - ax)
        eta = lr / (1 + lambd * lr * t)^alpha,  mu = 1 / max(1, t - t0)

    The average ``ax`` is kept in the state and never written to the parameters. The
    step size is computed one step ahead, as in torch: a changed ``lr`` takes effect one
    update late, and the first update uses ``lr`` itself.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``lambd``: decay of the parameters and of the step size.
    - ``alpha``: power of the decay of the step size.
    - ``t0``: the step at which averaging starts (until then, ``ax`` is the last
      iterate).
    - ``weight_decay``: L2 penalty.
    - ``maximize``: climb instead of descending.
    - ``mask``: which parameters have the L2 penalty, see `assemble`; None: all of them.
      ``lambd`` applies to all.

    Each number may be an array or a schedule.

    **State:** `StepByAsgdState`: ``ax`` in the parameters' shapes and dtypes, ``eta``
    and ``mu`` in float32 as in torch, for any dtype of the parameters.

    **Complex parameters:** pass the conjugate of `jax.grad`'s result, as for `sgd`.

    **Raises:** `ValueError` for a negative ``lr`` or ``weight_decay``, for NaN, and at
    `update` if ``params`` is missing.

    **Source:** Polyak and Juditsky, "Acceleration of Stochastic Approximation by
    Averaging", SIAM J. Control Optim. 30, 1992,
    [doi:10.1137/0330046](https://doi.org/10.1137/0330046).
    """
    return assemble(
        step_by_asgd(lr, lambd, alpha, t0),
        lr=None,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
