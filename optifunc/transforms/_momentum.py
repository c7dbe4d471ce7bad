"""Momentum, as in torch.optim.SGD."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._dataclass import static
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._numerics import increment, is_number
from .._placement import zeros_like
from .._state import Restarting, Shared
from .._transformation import GradientTransformation, State, transformation
from .._tree import PyTree


class MomentumState(NamedTuple):
    """State of `momentum`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``momentum_buffer``: the accumulated updates of each parameter.
    """

    step: Shared
    momentum_buffer: Restarting


@elementwise(outputs=2, static=("nesterov",), inline=True)
def _momentum(
    updates: Array,
    momentum_buffer: Array,
    *,
    momentum: Array,
    weight: Array,
    nesterov: bool,
) -> tuple[Array, Array]:
    momentum_buffer = momentum * momentum_buffer + weight * updates
    if nesterov:
        return updates + momentum * momentum_buffer, momentum_buffer
    return momentum_buffer, momentum_buffer


@transformation
class momentum(GradientTransformation):
    """Accumulate the updates with a decay.

    ::

        b_1 = g_1                                        (undampened, as in torch)
        b_t = momentum * b_{t-1} + (1 - dampening) * g_t
        u_t = b_t,  or with nesterov  g_t + momentum * b_t

    **Arguments:**

    - ``momentum``: the weight of the old buffer, at least 0.
    - ``dampening``: the fraction of an update that is left out of the buffer.
    - ``nesterov``: look ahead by one more step of the buffer.

    **State:** `MomentumState`; ``momentum_buffer`` has the shapes and dtypes of the
    parameters.

    **Raises:** `ValueError` if ``momentum`` is negative or NaN, or if ``nesterov`` is
    combined with zero momentum or with dampening.

    **Source:** Polyak, "Some methods of speeding up the convergence of iteration
    methods", 1964; Nesterov's in the form of Sutskever, Martens, Dahl and Hinton, "On
    the importance of initialization and momentum in deep learning", 2013.
    """

    momentum: Value
    dampening: Value = 0.0
    nesterov: bool = static(default=False)

    def __post_init__(self) -> None:
        check_range("momentum", self.momentum, at_least=0)
        check_range("dampening", self.dampening)
        if self.nesterov and (
            (is_number(self.momentum) and not self.momentum > 0)
            or (is_number(self.dampening) and self.dampening != 0)
        ):
            raise ValueError(
                "nesterov needs momentum above 0 and no dampening, found "
                f"momentum={self.momentum!r} and dampening={self.dampening!r}"
            )

    def init(self, params: PyTree) -> MomentumState:
        return MomentumState(jnp.zeros((), jnp.int32), zeros_like(params))

    def update(
        self,
        updates: PyTree,
        state: MomentumState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, State]:
        undampened = 1 - self.dampening
        updates, momentum_buffer = _momentum(
            updates,
            state.momentum_buffer,
            momentum=self.momentum,
            weight=jnp.where(state.step == 0, 1.0, undampened),
            nesterov=self.nesterov,
        )
        return updates, MomentumState(increment(state.step), momentum_buffer)
