"""SPAM."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_integer, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import (
    as_scalar,
    first_moment,
    increment,
    one_minus_power,
    second_moment,
    sqrt,
)
from .._placement import zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleBySpamState(NamedTuple):
    """State of `scale_by_spam`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients since the last reset, from
      0 and not debiased.
    - ``exp_avg_sq``: the same for their squares.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]


@elementwise(outputs=3)
def _spam(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    *,
    kept: Array,
    threshold: Array,
    weight1: Array,
    weight2: Array,
    scale: Array,
    eps: Array,
) -> tuple[Array, Array, Array]:
    exp_avg = jnp.where(kept > 0, exp_avg, 0)
    exp_avg_sq = jnp.where(kept > 0, exp_avg_sq, 0)
    # Compare roots, because squares of spikes may overflow.
    bound = sqrt(threshold) * sqrt(exp_avg_sq)
    is_spike = (threshold > 0) & (jnp.abs(updates) > bound)
    updates = jnp.where(is_spike, jnp.sign(updates) * bound, updates)
    exp_avg = first_moment(exp_avg, updates, weight1)
    exp_avg_sq = second_moment(exp_avg_sq, updates, weight2)
    return scale * exp_avg / (sqrt(exp_avg_sq) + eps), exp_avg, exp_avg_sq


@transformation
class scale_by_spam(GradientTransformation):
    """Adam's direction with clipped spikes and moments that are periodically reset.

    The rule: see `spam`.

    **Arguments:**

    - ``betas``, ``eps``, ``threshold``, ``grad_accu_steps``, ``update_proj_gap``,
      ``warmup_epoch``: see `spam`.

    **State:** `ScaleBySpamState`.

    **Raises:** what `spam` does.
    """

    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-6
    threshold: Value = 5000.0
    grad_accu_steps: int = static(default=20)
    update_proj_gap: int = static(default=500)
    warmup_epoch: int = static(default=50)

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        check_range("threshold", self.threshold, at_least=0)
        check_integer("grad_accu_steps", self.grad_accu_steps, at_least=1)
        check_integer("update_proj_gap", self.update_proj_gap, at_least=1)
        check_integer("warmup_epoch", self.warmup_epoch, at_least=0)

    def init(self, params: PyTree) -> ScaleBySpamState:
        return ScaleBySpamState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleBySpamState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleBySpamState]:
        beta1, beta2 = self.betas
        step = increment(state.step)
        since = step % self.update_proj_gap
        # The moments must have seen some gradients before they can detect spikes.
        clips = (step >= self.grad_accu_steps) & (since >= self.grad_accu_steps)
        is_warming = (step >= self.update_proj_gap) & (since < self.warmup_epoch)
        phase = as_scalar(since + 1) / (self.warmup_epoch + 1)
        left_out = jnp.where(is_warming, 0.495 * (1 + jnp.cos(jnp.pi * phase)), 0)
        correction = jnp.sqrt(one_minus_power(beta2, step)) / one_minus_power(
            beta1, step
        )
        updates, exp_avg, exp_avg_sq = _spam(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            kept=since,
            threshold=jnp.where(clips, as_scalar(self.threshold), 0),
            weight1=1 - beta1,
            weight2=1 - beta2,
            scale=(1 - left_out) * correction,
            eps=self.eps,
        )
        return updates, ScaleBySpamState(step, exp_avg, exp_avg_sq)


@factory
def spam(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-6,
    weight_decay: Hyperparameter = 0.0,
    *,
    threshold: Hyperparameter = 5000.0,
    grad_accu_steps: int = 20,
    update_proj_gap: int = 500,
    warmup_epoch: int = 50,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """SPAM: AdamW that clips spikes of gradients and resets its moments.

    ::

        c = t % update_proj_gap
        m = v = 0                                        (where c = 0)
        g = sign(g) * sqrt(min(g^2, threshold * v))      (where c >= grad_accu_steps)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g^2
        d = m / (sqrt(v) + eps) * sqrt(1 - betas[1]^t) / (1 - betas[0]^t)
        d = d * (1 - 0.495 * (1 + cos(pi * (c + 1) / (warmup_epoch + 1))))
        u = -lr * (d + weight_decay * p)

    The factor in the second to last line is the warm-up after a reset, while ``c`` is
    below ``warmup_epoch``; there is none at the start of a run. Resets do not affect
    ``t``. An element that had no gradient before clipping begins has ``v = 0`` and does
    not move until the next reset: use `adamw` for rarely used rows.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``eps``: added to the root, before its correction.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``threshold``: the largest square of an element, in units of its mean square; 0:
      no clipping.
    - ``grad_accu_steps``: the number of steps after a reset before spikes are clipped.
    - ``update_proj_gap``: the number of steps between resets of the moments.
    - ``warmup_epoch``: the steps of the warm-up after a reset.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    All numbers except the counts may be arrays or schedules.

    **State:** `ScaleBySpamState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing; `TypeError` for a count that is not an integer.

    **Source:** Huang, Zhu, Jin, Liu and others, "SPAM: Spike-Aware Adam with Momentum
    Reset for Stable LLM Training", 2025,
    [arXiv:2501.06842](https://arxiv.org/abs/2501.06842).
    """
    return assemble(
        scale_by_spam(
            betas, eps, threshold, grad_accu_steps, update_proj_gap, warmup_epoch
        ),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
