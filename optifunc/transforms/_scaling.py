"""Scaling: by a factor, by the learning rate, to the sign, to nothing."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_lr, check_range
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._transformation import Stateless, transformation
from .._tree import PyTree, is_float0, with_defaults


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
class scale(Stateless):
    """Multiply the updates by a number: ``u = factor * g``.

    **Arguments:**

    - ``factor``: the number, of either sign.

    **State:** ``()``.

    **Raises:** `ValueError` if ``factor`` is NaN.
    """

    factor: Value

    def __post_init__(self) -> None:
        check_range("factor", self.factor)

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        return _scaled(updates, factor=self.factor)


@transformation
class negate(Stateless):
    """Negate the updates: ``u = -g``.

    At the start of a chain, it is torch's ``maximize``.

    **State:** ``()``.
    """

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        return _scaled(updates, factor=-1.0)


@transformation
class scale_by_learning_rate(Stateless):
    """Turn a direction of ascent into a step of descent: ``u = -lr * g``.

    It is the last member of an optimizer's chain.

    **Arguments:**

    - ``lr``: the learning rate, at least 0.

    **State:** ``()``.

    **Raises:** `ValueError` if ``lr`` is negative or NaN.
    """

    lr: Value

    def __post_init__(self) -> None:
        check_lr(self.lr)

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        return _scaled(updates, factor=-self.lr)


@transformation
class scale_by_sign(Stateless):
    """Keep only the sign of each element: ``u = sign(g)``, 0 where ``g`` is 0.

    For a complex element, it keeps the signs of the real and imaginary parts.

    **State:** ``()``.
    """

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        return _sign(updates)


@transformation
class set_to_zero(Stateless):
    """Make every update 0: ``u = 0``.

    With `partition` it freezes parameters.

    **State:** ``()``.
    """

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        if not any(map(is_float0, jax.tree.leaves(updates))):
            return _zero(updates)
        # They have no value that could be made 0.
        others = jax.tree.map(lambda u: None if is_float0(u) else u, updates)
        return with_defaults(_zero(others), updates)
