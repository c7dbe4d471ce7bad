"""Stable-SPAM."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_integer, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import leafwise
from .._numerics import first_moment, increment, one_minus_power, second_moment, sqrt
from .._placement import zeros_like, zeros_of_shape
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, check_real, check_shapes, compute_dtype, leaf_dtype
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleByStableSpamState(NamedTuple):
    """State of `scale_by_stable_spam`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients since the last reset, from
      0 and not debiased.
    - ``exp_avg_sq``: the same for their squares.
    - ``m_max_t``: a number for each parameter, the average of its largest elements.
    - ``m_norm_t``, ``v_norm_t``: the same for its norms and their squares.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]
    m_max_t: NonNegative
    m_norm_t: NonNegative
    v_norm_t: NonNegative


@leafwise(outputs=6)
def _stable_spam(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    m_max_t: Array,
    m_norm_t: Array,
    v_norm_t: Array,
    *,
    kept: Array,
    weight1: Array,
    weight2: Array,
    weight_theta: Array,
    weight_gamma1: Array,
    weight_gamma2: Array,
    correction_theta: Array,
    correction_gamma1: Array,
    correction_gamma2: Array,
    scale: Array,
    eps: Array,
    eps_scaled: Array,
) -> tuple[Array, ...]:
    before = (exp_avg, exp_avg_sq, m_max_t, m_norm_t, v_norm_t)
    largest = jnp.max(jnp.abs(updates), initial=0)
    m_max_t = first_moment(m_max_t, largest, weight_theta)
    bound = m_max_t / correction_theta
    ratio = bound / jnp.where(largest > 0, largest, 1)
    grads = jnp.where(jnp.abs(updates) > bound, ratio * updates, updates)

    norm = sqrt(jnp.sum(grads * grads))
    m_norm_t = first_moment(m_norm_t, norm, weight_gamma1)
    v_norm_t = second_moment(v_norm_t, norm, weight_gamma2)
    length = (m_norm_t / correction_gamma1) / (sqrt(v_norm_t / correction_gamma2) + eps)
    grads *= length / jnp.where(norm > 0, norm, 1)

    exp_avg = first_moment(jnp.where(kept > 0, exp_avg, 0), grads, weight1)
    exp_avg_sq = second_moment(jnp.where(kept > 0, exp_avg_sq, 0), grads, weight2)
    direction = scale * exp_avg / (sqrt(exp_avg_sq) + eps_scaled)
    after = (exp_avg, exp_avg_sq, m_max_t, m_norm_t, v_norm_t)
    # A leaf without a gradient has no direction to scale.
    moves = norm > 0
    trees = (jnp.where(moves, x, y) for x, y in zip(after, before, strict=True))
    return jnp.where(moves, direction, 0), *trees


@transformation
class scale_by_stable_spam(GradientTransformation):
    """Adam's direction of gradients with limited spikes and norms, with resets.

    The rule: see `stable_spam`.

    **Arguments:**

    - ``betas``, ``eps``, ``gamma1``, ``gamma2``, ``theta``, ``update_proj_gap``: see
      `stable_spam`.

    **State:** `ScaleByStableSpamState`.

    **Raises:** what `stable_spam` does.
    """

    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-8
    gamma1: Value = 0.7
    gamma2: Value = 0.9
    theta: Value = 0.999
    update_proj_gap: int = static(default=1000)

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        for name in ("gamma1", "gamma2", "theta"):
            check_range(name, getattr(self, name), at_least=0, below=1)
        check_integer("update_proj_gap", self.update_proj_gap, at_least=1)

    def init(self, params: PyTree) -> ScaleByStableSpamState:
        check_real(params, ("stable_spam", "parameters"))

        def numbers() -> PyTree:
            return jax.tree.map(
                lambda p: zeros_of_shape(p, (), compute_dtype(leaf_dtype(p))), params
            )

        return ScaleByStableSpamState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
            m_max_t=numbers(),
            m_norm_t=numbers(),
            v_norm_t=numbers(),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByStableSpamState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByStableSpamState]:
        check_shapes(updates, state.exp_avg, ("updates", "exp_avg"))
        beta1, beta2 = self.betas
        step = increment(state.step)
        since = step % self.update_proj_gap
        # The moments count from 1 after a reset.
        age = jnp.where(step < self.update_proj_gap, step, since + 1)
        root_correction2 = jnp.sqrt(one_minus_power(beta2, age))
        updates, *trees = _stable_spam(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            state.m_max_t,
            state.m_norm_t,
            state.v_norm_t,
            kept=since,
            weight1=1 - beta1,
            weight2=1 - beta2,
            weight_theta=1 - self.theta,
            weight_gamma1=1 - self.gamma1,
            weight_gamma2=1 - self.gamma2,
            correction_theta=one_minus_power(self.theta, step),
            correction_gamma1=one_minus_power(self.gamma1, step),
            correction_gamma2=one_minus_power(self.gamma2, step),
            scale=root_correction2 / one_minus_power(beta1, age),
            eps=self.eps,
            eps_scaled=root_correction2 * self.eps,
        )
        return updates, ScaleByStableSpamState(step, *trees)


@factory
def stable_spam(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    *,
    gamma1: Hyperparameter = 0.7,
    gamma2: Hyperparameter = 0.9,
    theta: Hyperparameter = 0.999,
    update_proj_gap: int = 1000,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Stable-SPAM: AdamW on gradients with limited spikes and norms, with resets.

    ::

        M = theta * M + (1 - theta) * max|g|
        s = M / (1 - theta^t)
        g = g * s / max|g|                                    (where |g| > s)
        n = norm(g)
        a = gamma1 * a + (1 - gamma1) * n
        b = gamma2 * b + (1 - gamma2) * n^2
        g = g / n * (a / (1 - gamma1^t)) / (sqrt(b / (1 - gamma2^t)) + eps)
        m = v = 0,  k = 1                  (where t is a multiple of update_proj_gap)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g^2
        d = (m / (1 - betas[0]^k)) / (sqrt(v / (1 - betas[1]^k)) + eps)
        u = -lr * (d + weight_decay * p)

    The maximum and the norm are those of a leaf; one whose gradient is 0 is skipped.
    ``k`` counts the steps since the last reset, ``t`` all of them. In place of the
    authors' ``t_max``, use schedules for ``betas[0]`` and ``gamma1``.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``eps``: added to the roots, after their corrections.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``gamma1``: the decay rate of the norms, in [0, 1).
    - ``gamma2``: the decay rate of their squares, in [0, 1).
    - ``theta``: the decay rate of the largest elements, in [0, 1).
    - ``update_proj_gap``: the number of steps between resets of the moments.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    All numbers except the count may be arrays or schedules.

    **State:** `ScaleByStableSpamState`, its moments in the parameters' shapes and
    dtypes, and three numbers for each parameter.

    **Raises:** `ValueError` for a number out of range, and at `update` for a gradient
    with another shape and if there is decay and ``params`` is missing; `TypeError` for
    a count that is not an integer, for complex parameters and for sparse gradients.

    **Source:** Huang, Hu, Zhang, Jin and others, "Stable-SPAM: How to Train in 4-Bit
    More Stably than 16-Bit Adam", 2025,
    [arXiv:2502.17055](https://arxiv.org/abs/2502.17055).
    """
    return assemble(
        scale_by_stable_spam(betas, eps, gamma1, gamma2, theta, update_proj_gap),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
