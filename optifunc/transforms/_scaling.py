"""Scaling: by a factor, by the learning rate, to the sign, to nothing."""

from typing import Any

import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._hyperparameters import Value
from .._transformation import GradientTransformation, State, transformation
from .._tree import PyTree, elementwise


@elementwise(inline=True)
def _scaled(updates: Array, *, factor: Array) -> Array:
    return factor * updates


@elementwise(inline=True)
def _sign(updates: Array) -> Array:
    return jnp.sign(updates)


@elementwise(inline=True)
def _zero(updates: Array) -> Array:
    return jnp.zeros_like(updates)


@transformation
class scale(GradientTransformation):
    """Multiply the updates by a number: ``u = factor * g``."""

    factor: Value

    def __post_init__(self) -> None:
        check_range("factor", self.factor)

    def init(self, params: PyTree) -> State:
        return ()

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        return _scaled(updates, factor=self.factor), state


@transformation
class negate(GradientTransformation):
    """Turn the updates round: ``u = -g``; torch's ``maximize`` is this, first."""

    def init(self, params: PyTree) -> State:
        return ()

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        return _scaled(updates, factor=-1.0), state


@transformation
class scale_by_learning_rate(GradientTransformation):
    """Turn a direction of ascent into a step of descent: ``u = -lr * g``.

    It stands last in an optimizer's chain.

    **Raises:** `ValueError` if ``lr`` is negative or NaN.
    """

    lr: Value

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)

    def init(self, params: PyTree) -> State:
        return ()

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        return _scaled(updates, factor=-self.lr), state


@transformation
class scale_by_sign(GradientTransformation):
    """Keep only the sign of each element: ``u = sign(g)``, 0 where ``g`` is 0.

    Of a complex element the signs of the real and of the imaginary part.
    """

    def init(self, params: PyTree) -> State:
        return ()

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        return _sign(updates), state


@transformation
class set_to_zero(GradientTransformation):
    """Make every update 0: ``u = 0``. With `partition` it freezes parameters."""

    def init(self, params: PyTree) -> State:
        return ()

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        return _zero(updates), state
