"""Yogi."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import first_moment, increment, one_minus_power, sqrt
from .._placement import full_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleByYogiState(NamedTuple):
    """State of `scale_by_yogi`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, not debiased.
    - ``exp_avg_sq``: the estimate of their mean square.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]


@elementwise(outputs=3)
def _yogi(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    *,
    weight1: Array,
    weight2: Array,
    scale: Array,
    eps: Array,
    eps_root: Array | None,
) -> tuple[Array, Array, Array]:
    squares = updates * updates
    exp_avg = first_moment(exp_avg, updates, weight1)
    exp_avg_sq = exp_avg_sq - weight2 * jnp.sign(exp_avg_sq - squares) * squares
    square = exp_avg_sq if eps_root is None else exp_avg_sq + eps_root
    return scale * exp_avg / (sqrt(square) + eps), exp_avg, exp_avg_sq


@transformation
class scale_by_yogi(GradientTransformation):
    """Divide the mean of the gradients by a size that changes slowly.

    The rule: see `yogi`.

    **Arguments:**

    - ``betas``, ``eps``, ``initial_accumulator_value``: see `yogi`.
    - ``eps_root``: added to the corrected size under the root; None: nothing.

    **State:** `ScaleByYogiState`.

    **Raises:** `ValueError` for a number out of range.
    """

    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-3
    initial_accumulator_value: Value = 1e-6
    _: dataclasses.KW_ONLY
    eps_root: Value | None = None

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        check_range(
            "initial_accumulator_value", self.initial_accumulator_value, at_least=0
        )
        if self.eps_root is not None:
            check_range("eps_root", self.eps_root, at_least=0)

    def init(self, params: PyTree) -> ScaleByYogiState:
        start = self.initial_accumulator_value
        return ScaleByYogiState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=full_like(params, start, both_parts=True),
            exp_avg_sq=full_like(params, start, both_parts=True),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByYogiState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByYogiState]:
        beta1, beta2 = self.betas
        step = increment(state.step)
        # Both corrections are applied to scalars, where they cost nothing.
        root_correction2 = jnp.sqrt(one_minus_power(beta2, step))
        updates, *trees = _yogi(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            weight1=1 - beta1,
            weight2=1 - beta2,
            scale=root_correction2 / one_minus_power(beta1, step),
            eps=root_correction2 * self.eps,
            eps_root=None
            if self.eps_root is None
            else root_correction2 * root_correction2 * self.eps_root,
        )
        return updates, ScaleByYogiState(step, *trees)


@factory
def yogi(
    lr: Hyperparameter = 1e-2,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-3,
    weight_decay: Hyperparameter = 0.0,
    *,
    initial_accumulator_value: Hyperparameter = 1e-6,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Yogi: Adam with a second moment that falls only as fast as gradients push it.

    ::

        m = betas[0] * m + (1 - betas[0]) * g
        v = v - (1 - betas[1]) * sign(v - g^2) * g^2
        d = (m / (1 - betas[0]^t)) / (sqrt(v / (1 - betas[1]^t)) + eps)
        u = -lr * (d + weight_decay * p)

    Both ``m`` and ``v`` start at ``initial_accumulator_value``, so even a parameter
    without any gradient moves a little at first. In Adam, small gradients make ``v``
    forget large ones at a rate of ``1 - betas[1]``; here, the rate depends on their
    squares.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``eps``: added to the root, after its correction.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``initial_accumulator_value``: the initial value of both moments.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByYogiState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing.

    **Source:** Zaheer, Reddi, Sachan, Kale and Kumar, "Adaptive Methods for Nonconvex
    Optimization", NeurIPS
    [2018](https://papers.nips.cc/paper/8186-adaptive-methods-for-nonconvex-optimization).
    The corrections and the start of ``m`` are those of optax.
    """
    return assemble(
        scale_by_yogi(betas, eps, initial_accumulator_value),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
