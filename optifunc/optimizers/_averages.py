"""The average of the gradients with which matrix optimizers begin."""

from __future__ import annotations

from jax import Array

from .._leafwise import elementwise
from .._numerics import first_moment


@elementwise(outputs=2, static=("nesterov",))
def average_gradients(
    updates: Array,
    momentum_buffer: Array,
    *,
    weight: Array,
    average_share: Array,
    gradient_share: Array,
    nesterov: bool,
) -> tuple[Array, Array]:
    """A direction, and the average of the gradients from which it is computed."""
    momentum_buffer = first_moment(momentum_buffer, updates, weight)
    direction = average_share * momentum_buffer
    if nesterov:
        direction += gradient_share * updates
    return direction, momentum_buffer
