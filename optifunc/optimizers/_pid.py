"""PID."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import as_scalar, first_moment, increment
from .._placement import zeros_like
from .._state import PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleByPidState(NamedTuple):
    """State of `scale_by_pid`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``i_buffer``: the decayed sum of each parameter's gradients.
    - ``d_buffer``: the average of their differences, from 0.
    - ``grad_buffer``: the last gradient.
    """

    step: Shared
    i_buffer: PerParameter
    d_buffer: PerParameter
    grad_buffer: PerParameter


@elementwise(outputs=4)
def _pid(
    updates: Array,
    i_buffer: Array,
    d_buffer: Array,
    grad_buffer: Array,
    *,
    momentum: Array,
    undampened: Array,
    weight: Array,
    derivative: Array,
    integral: Array,
) -> tuple[Array, Array, Array, Array]:
    i_buffer = momentum * i_buffer + undampened * updates
    d_buffer = first_moment(d_buffer, updates - grad_buffer, weight)
    direction = updates + integral * i_buffer + derivative * d_buffer
    return direction, i_buffer, d_buffer, updates


@transformation
class scale_by_pid(GradientTransformation):
    """The gradient, its decayed sum and its change.

    The rule: see `pid`.

    **Arguments:**

    - ``momentum``, ``dampening``, ``derivative``, ``integral``: see `pid`.

    **State:** `ScaleByPidState`.

    **Raises:** `ValueError` for a number out of range.
    """

    momentum: Value = 0.9
    dampening: Value = 0.0
    derivative: Value = 10.0
    integral: Value = 5.0

    def __post_init__(self) -> None:
        check_range("momentum", self.momentum, at_least=0, below=1)
        for name in ("dampening", "derivative", "integral"):
            check_range(name, getattr(self, name))

    def init(self, params: PyTree) -> ScaleByPidState:
        return ScaleByPidState(
            step=jnp.zeros((), jnp.int32),
            i_buffer=zeros_like(params),
            d_buffer=zeros_like(params),
            grad_buffer=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByPidState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByPidState]:
        # The first gradient has no predecessor.
        is_first = state.step == 0
        updates, *trees = _pid(
            updates,
            state.i_buffer,
            state.d_buffer,
            state.grad_buffer,
            momentum=self.momentum,
            undampened=1 - self.dampening,
            weight=jnp.where(is_first, 0, as_scalar(1 - self.momentum)),
            derivative=self.derivative,
            integral=self.integral,
        )
        return updates, ScaleByPidState(increment(state.step), *trees)


@factory
def pid(
    lr: Hyperparameter = 1e-3,
    momentum: Hyperparameter = 0.9,
    dampening: Hyperparameter = 0.0,
    weight_decay: Hyperparameter = 0.0,
    *,
    derivative: Hyperparameter = 10.0,
    integral: Hyperparameter = 5.0,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """PID: a controller of the gradient with momentum as its integral part.

    ::

        g = g + weight_decay * p
        I = momentum * I + (1 - dampening) * g
        D = momentum * D + (1 - momentum) * (g - g')          (D = 0 at t = 1)
        u = -lr * (g + integral * I + derivative * D)

    ``g'`` is the last gradient. The change of the gradient damps the overshooting of
    the sum.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``momentum``: the decay rate of the sum and of the average, in [0, 1).
    - ``dampening``: the fraction of a gradient that is left out of the sum.
    - ``weight_decay``: L2 penalty.
    - ``derivative``: the factor of the change.
    - ``integral``: the factor of the sum.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByPidState`, its trees in the parameters' shapes and dtypes.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing.

    **Source:** An, Wang, Sun, Xu, Dai and Zhang, "A PID Controller Approach for
    Stochastic Optimization of Deep Networks", CVPR 2018,
    with [the authors' code](https://github.com/tensorboy/PIDOptimizer).
    """
    return assemble(
        scale_by_pid(momentum, dampening, derivative, integral),
        lr=lr,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
