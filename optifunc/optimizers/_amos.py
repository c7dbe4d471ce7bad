"""Amos."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_integer, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import leafwise
from .._numerics import first_moment, increment, is_zero, one_minus_power, sqrt
from .._placement import zeros_like, zeros_of_shape
from .._state import NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import (
    PyTree,
    check_real,
    check_shapes,
    compute_dtype,
    leaf_dtype,
    leaves_with_names,
)
from ._assemble import assemble
from ._factory import factory


class StepByAmosState(NamedTuple):
    """State of `step_by_amos`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg_sq``: a number for each parameter, the average of the gradient's mean
      square, from 0 and not debiased.
    - ``decay``: a number for each parameter, which slows down its steps and its decay.
    - ``exp_avg``: the average of each parameter's steps; None if ``momentum`` is the
      number 0.
    """

    step: Shared
    exp_avg_sq: NonNegative
    decay: NonNegative
    exp_avg: PerParameter | None


@leafwise(outputs=4, static=("input_axis",))
def _amos(
    updates: Array,
    exp_avg_sq: Array,
    decay: Array,
    exp_avg: Array | None,
    params: Array,
    *,
    lr: Array,
    weight: Array,
    correction: Array,
    momentum: Array,
    extra_l2: Array,
    c: Array,
    d: Array,
    eps: Array,
    input_axis: int,
) -> tuple[Array, Array, Array, Array | None]:
    mean_square = jnp.sum(updates * updates) / max(updates.size, 1)
    exp_avg_sq = first_moment(exp_avg_sq, mean_square, weight)
    precision = correction / (exp_avg_sq + eps)
    eta = _expected_size(updates.shape, input_axis)
    slower = 1 / sqrt(1 + c * sqrt(lr) * decay)
    shorter = 1 / (1 + d * sqrt(lr * eta) * decay)
    gamma = slower * lr * lr * precision * mean_square
    step = 0.5 * (gamma - extra_l2) * params + lr * eta * sqrt(precision) * updates
    step *= shorter
    decay = decay * (1 + gamma) + gamma
    if exp_avg is not None:
        step = exp_avg = first_moment(exp_avg, step, 1 - momentum)
    return -step, exp_avg_sq, decay, exp_avg


def _expected_size(shape: tuple[int, ...], input_axis: int) -> float:
    """The expected size of a trained parameter's elements."""
    if len(shape) < 2:
        return 0.5
    return math.sqrt((2 if len(shape) == 2 else 1) / max(shape[input_axis], 1))


@transformation
class step_by_amos(GradientTransformation):
    """Amos's step; the rule: see `amos`.

    **Arguments:**

    - ``lr``, ``beta``, ``momentum``, ``extra_l2``, ``c``, ``d``, ``eps``,
      ``input_axis``: see `amos`.

    **State:** `StepByAmosState`.

    **Raises:** what `amos` does.
    """

    lr: Value = 1e-3
    beta: Value = 0.999
    momentum: Value = 0.0
    extra_l2: Value = 0.0
    c: Value = 0.25
    d: Value = 0.25
    eps: Value = 1e-18
    input_axis: int = static(default=-2)

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        for name in ("beta", "momentum"):
            check_range(name, getattr(self, name), at_least=0, below=1)
        for name in ("extra_l2", "c", "d"):
            check_range(name, getattr(self, name), at_least=0)
        check_range("eps", self.eps, above=0)
        check_integer("input_axis", self.input_axis, at_least=-32)

    def init(self, params: PyTree) -> StepByAmosState:
        check_real(params, ("amos", "parameters"))
        for name, leaf in leaves_with_names(params):
            axes = jnp.ndim(leaf)
            if axes > 1 and not -axes <= self.input_axis < axes:
                raise ValueError(
                    f"input_axis is {self.input_axis}, which {name!r} of shape "
                    f"{jnp.shape(leaf)} does not have"
                )

        def numbers() -> PyTree:
            return jax.tree.map(
                lambda p: zeros_of_shape(p, (), compute_dtype(leaf_dtype(p))), params
            )

        return StepByAmosState(
            step=jnp.zeros((), jnp.int32),
            exp_avg_sq=numbers(),
            decay=numbers(),
            exp_avg=None if is_zero(self.momentum) else zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: StepByAmosState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByAmosState]:
        params = require_params(params, updates, "amos")
        check_real(updates, ("amos", "gradients"))
        check_shapes(updates, params, ("updates", "params"))
        step = increment(state.step)
        updates, *trees = _amos(
            updates,
            state.exp_avg_sq,
            state.decay,
            state.exp_avg,
            params,
            lr=self.lr,
            weight=1 - self.beta,
            correction=one_minus_power(self.beta, step),
            momentum=self.momentum,
            extra_l2=self.extra_l2,
            c=self.c,
            d=self.d,
            eps=self.eps,
            input_axis=self.input_axis,
        )
        return updates, StepByAmosState(step, *trees)


@factory
def amos(
    lr: Hyperparameter = 1e-3,
    beta: Hyperparameter = 0.999,
    momentum: Hyperparameter = 0.0,
    extra_l2: Hyperparameter = 0.0,
    c: Hyperparameter = 0.25,
    d: Hyperparameter = 0.25,
    eps: Hyperparameter = 1e-18,
    *,
    input_axis: int = -2,
    maximize: bool = False,
) -> GradientTransformation:
    """Amos: Adam-like steps whose size and decay decrease as derived from a theory.

    For each leaf, whose elements are expected to have the size ``eta`` in the end::

        q = mean(g^2)
        v = beta * v + (1 - beta) * q
        r = (1 - beta^t) / (v + eps)
        C = 1 / sqrt(1 + c * sqrt(lr) * b),  D = 1 / (1 + d * sqrt(lr * eta) * b)
        y = C * lr^2 * r * q
        s = D * ((y - extra_l2) / 2 * p + lr * eta * sqrt(r) * g)
        b = b * (1 + y) + y
        m = momentum * m + (1 - momentum) * s
        u = -m

    ``v`` and ``b`` are one number per leaf. ``b`` grows with the steps and replaces a
    schedule: the learning rate is constant, except for an optional warm-up. The weight
    decay is ``y``, which follows from the learning rate. ``eta`` is 0.5 for vectors and
    scalars, ``sqrt(2 / inputs)`` for matrices and ``sqrt(1 / inputs)`` for kernels with
    more axes.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``beta``: decay rate of the mean squares, in [0, 1).
    - ``momentum``: decay rate of the steps' average, in [0, 1).
    - ``extra_l2``: subtracted from the decay ``y``, at least 0.
    - ``c``, ``d``: how fast the decay and the steps slow down, at least 0.
    - ``eps``: added to the mean square, above 0.
    - ``input_axis``: the axis of the inputs of matrices and kernels. It is the second
      to last in JAX's libraries; use 1 for torch's layout.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `StepByAmosState`.

    **Raises:** `ValueError` for a number out of range, at `init` for an ``input_axis``
    that a leaf does not have, and at `update` if ``params`` is missing; `TypeError` for
    complex parameters and for sparse gradients.

    **Source:** Tian and Parikh, "Amos: An Adam-style Optimizer with Adaptive Weight
    Decay toward Model-Oriented Scale", 2022,
    [arXiv:2210.11693](https://arxiv.org/abs/2210.11693); ``eta`` and the signs as in
    [pytorch_optimizer](https://github.com/kozistr/pytorch_optimizer).
    """
    return assemble(
        step_by_amos(lr, beta, momentum, extra_l2, c, d, eps, input_axis),
        lr=None,
        maximize=maximize,
    )
