"""Adagrad."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import as_scalar, increment, sqrt, squared
from .._placement import full_like
from .._state import NonNegative, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleByAdagradState(NamedTuple):
    """State of `scale_by_adagrad`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``sum``: the sum of each parameter's squared gradients.
    """

    step: Shared
    sum: NonNegative


@elementwise(outputs=2, static=("eps_in_sqrt", "by_modulus"))
def _adagrad(
    updates: Array,
    sum: Array,
    *,
    decay: Array,
    eps: Array,
    eps_in_sqrt: bool,
    by_modulus: bool,
) -> tuple[Array, Array]:
    sum = sum + squared(updates, by_modulus)
    root = sqrt(sum + eps) if eps_in_sqrt else sqrt(sum) + eps
    return decay * updates / root, sum


@transformation
class scale_by_adagrad(GradientTransformation):
    """Divide by the root of the sum of all squared gradients so far.

    The rule: see `adagrad`.

    **Arguments:**

    - ``lr_decay``, ``initial_accumulator_value``, ``eps``, ``eps_in_sqrt``: see
      `adagrad`.
    - ``by_modulus``: divide both parts of a complex element by the root of the sum of
      ``|g|^2``, as optax does; False: divide each part by its own.

    **State:** `ScaleByAdagradState`.

    **Raises:** `ValueError` for a number out of range.
    """

    lr_decay: Value = 0.0
    initial_accumulator_value: Value = 0.0
    eps: Value = 1e-10
    _: dataclasses.KW_ONLY
    eps_in_sqrt: bool = static(default=False)
    by_modulus: bool = static(default=False)

    def __post_init__(self) -> None:
        check_range("lr_decay", self.lr_decay, at_least=0)
        check_range(
            "initial_accumulator_value", self.initial_accumulator_value, at_least=0
        )
        check_range("eps", self.eps, at_least=0)

    def init(self, params: PyTree) -> ScaleByAdagradState:
        return ScaleByAdagradState(
            step=jnp.zeros((), jnp.int32),
            sum=full_like(params, self.initial_accumulator_value, both_parts=True),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByAdagradState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByAdagradState]:
        steps_before = as_scalar(state.step)
        updates, sum = _adagrad(
            updates,
            state.sum,
            decay=1 / (1 + steps_before * self.lr_decay),
            eps=self.eps,
            eps_in_sqrt=self.eps_in_sqrt,
            by_modulus=self.by_modulus,
        )
        return updates, ScaleByAdagradState(increment(state.step), sum)


@factory
def adagrad(
    lr: Hyperparameter = 1e-2,
    lr_decay: Hyperparameter = 0.0,
    weight_decay: Hyperparameter = 0.0,
    initial_accumulator_value: Hyperparameter = 0.0,
    eps: Hyperparameter = 1e-10,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
    eps_in_sqrt: bool = False,
) -> GradientTransformation:
    """`torch.optim.Adagrad`: small steps where gradients have been large.

    ::

        g = g + weight_decay * p
        s = s + g^2,                  s_0 = initial_accumulator_value
        d = g / (sqrt(s) + eps),  or with eps_in_sqrt  g / sqrt(s + eps)
        u = -lr / (1 + (t - 1) * lr_decay) * d

    By default, ``eps`` is outside the root, as in torch. With ``eps=0``, a gradient
    that has always been 0 gives 0/0.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``lr_decay``: how fast it decays with the steps.
    - ``weight_decay``: L2 penalty.
    - ``initial_accumulator_value``: the initial sum; for a schedule, its first value.
    - ``eps``: added to the root.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.
    - ``eps_in_sqrt``: add ``eps`` inside the root, as optax does (where it is 1e-7, and
      the sum starts at 0.1).

    Each number may be an array or a schedule.

    **State:** `ScaleByAdagradState`, ``sum`` in the parameters' shapes and dtypes. Of a
    complex parameter, both parts start at ``initial_accumulator_value``.

    **Complex parameters:** real and imaginary parts are treated as separate parameters,
    as in torch; pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range.

    **Source:** Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online
    Learning and Stochastic Optimization",
    [JMLR 12](https://jmlr.org/papers/v12/duchi11a.html), 2011.
    """
    return assemble(
        scale_by_adagrad(
            lr_decay, initial_accumulator_value, eps, eps_in_sqrt=eps_in_sqrt
        ),
        lr=lr,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
