"""Fromage."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import leafwise
from .._numerics import as_scalar
from .._transformation import (
    GradientTransformation,
    Stateless,
    require_params,
    transformation,
)
from .._tree import PyTree, check_shapes
from ..transforms._trust_ratio import trust_ratio
from ._assemble import assemble
from ._factory import factory


@leafwise()
def _fromage(
    updates: Array,
    params: Array,
    *,
    step_size: Array,
    shrinkage: Array,
    min_norm: Array,
) -> Array:
    one, zero = jnp.ones_like(min_norm), jnp.zeros_like(min_norm)
    ratio = trust_ratio(updates, params, min_norm, one, zero)
    factor = (step_size * ratio).astype(updates.dtype)
    return -factor * updates - shrinkage.astype(updates.dtype) * params


@transformation
class step_by_fromage(Stateless):
    """Fromage's step.

    The rule: see `fromage`. The learning rate is an argument because it also says how
    much a step shortens the parameters.

    **Arguments:**

    - ``lr``, ``min_norm``: see `fromage`.

    **State:** ``()``.

    **Raises:** what `fromage` does.
    """

    lr: Value = 1e-2
    min_norm: Value = 0.0

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_range("min_norm", self.min_norm, at_least=0)

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        params = require_params(params, updates, "fromage")
        check_shapes(updates, params, ("updates", "params"))
        lr = as_scalar(self.lr)
        root = jnp.sqrt(1 + lr * lr)
        updates = _fromage(
            updates,
            params,
            step_size=lr / root,
            # 1 - 1 / root, without the cancellation
            shrinkage=lr * lr / (root * (1 + root)),
            min_norm=self.min_norm,
        )
        return updates


@factory
def fromage(
    lr: Hyperparameter = 1e-2,
    min_norm: Hyperparameter = 0.0,
    *,
    maximize: bool = False,
) -> GradientTransformation:
    """Fromage: steps in proportion to each parameter, without making it longer.

    ::

        r = max(norm(p), min_norm) / max(norm(g), min_norm),  or  1  where one is 0
        k = 1 / sqrt(1 + lr^2)
        u = k * (p - lr * r * g) - p

    The norms are those of whole leaves. If gradient and parameter are orthogonal, as
    before a normalization, the norm of the parameter does not change. There is no state
    and no decay.

    **Arguments:**

    - ``lr``: the learning rate, the size of a step relative to the parameter's.
    - ``min_norm``: a lower bound on the norm. With 0, a parameter that starts at 0
      takes one step along its gradient; optax has 1e-6, from which such a parameter
      grows.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** none.

    **Complex parameters:** a norm counts real and imaginary parts; give the conjugate
    of `jax.grad`'s result.

    **Raises:** `ValueError` for a negative number, and at `update` if ``params`` is
    missing.

    **Source:** Bernstein, Vahdat, Yue and Liu, "On the distance between two neural
    networks and the stability of learning", 2020,
    [arXiv:2002.03432](https://arxiv.org/abs/2002.03432).
    """
    return assemble(step_by_fromage(lr, min_norm), lr=None, maximize=maximize)
