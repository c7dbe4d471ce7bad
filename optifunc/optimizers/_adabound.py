"""AdaBound and AMSBound."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value, is_schedule
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
from ._options import check_option


class StepByAdaboundState(NamedTuple):
    """State of `step_by_adabound`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``exp_avg_sq``: the same for their squares.
    - ``max_exp_avg_sq``: the largest of these so far; None without ``amsbound``.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]
    max_exp_avg_sq: NonNegative | None


@elementwise(outputs=4)
def _adabound(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    max_exp_avg_sq: Array | None,
    *,
    weight1: Array,
    weight2: Array,
    step_size: Array,
    lower: Array,
    upper: Array,
    eps: Array,
) -> tuple[Array, Array, Array, Array | None]:
    exp_avg = first_moment(exp_avg, updates, weight1)
    exp_avg_sq = second_moment(exp_avg_sq, updates, weight2)
    square = exp_avg_sq
    if max_exp_avg_sq is not None:
        square = max_exp_avg_sq = jnp.maximum(max_exp_avg_sq, exp_avg_sq)
    size = jnp.clip(step_size / (sqrt(square) + eps), lower, upper)
    return -size * exp_avg, exp_avg, exp_avg_sq, max_exp_avg_sq


@transformation
class step_by_adabound(GradientTransformation):
    """AdaBound's step.

    The rule: see `adabound`. The learning rate is an argument because the bounds depend
    on it.

    **Arguments:**

    - ``lr``, ``betas``, ``eps``, ``final_lr``, ``gamma``, ``amsbound``: see `adabound`.
    - ``base_lr``: the value of ``lr`` to which ``final_lr`` corresponds.

    **State:** `StepByAdaboundState`.

    **Raises:** `ValueError` for a number out of range, and at `update` for a state that
    was made with the other value of ``amsbound``.
    """

    lr: Value = 1e-3
    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-8
    final_lr: Value = 0.1
    gamma: Value = 1e-3
    amsbound: bool = static(default=False)
    base_lr: Value = 1e-3

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        check_range("final_lr", self.final_lr, at_least=0)
        check_range("gamma", self.gamma, above=0)
        check_range("base_lr", self.base_lr, above=0)

    def init(self, params: PyTree) -> StepByAdaboundState:
        return StepByAdaboundState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
            max_exp_avg_sq=zeros_like(params) if self.amsbound else None,
        )

    def update(
        self,
        updates: PyTree,
        state: StepByAdaboundState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByAdaboundState]:
        check_option(self, "amsbound", state.max_exp_avg_sq, state.exp_avg)
        beta1, beta2 = self.betas
        step = increment(state.step)
        lr = as_scalar(self.lr)
        final_lr = self.final_lr * (lr / self.base_lr)
        grown = self.gamma * as_scalar(step)
        root_correction2 = jnp.sqrt(one_minus_power(beta2, step))
        updates, *trees = _adabound(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            state.max_exp_avg_sq,
            weight1=1 - beta1,
            weight2=1 - beta2,
            step_size=lr * root_correction2 / one_minus_power(beta1, step),
            # 1 - 1 / (grown + 1), without the cancellation
            lower=final_lr * (grown / (grown + 1)),
            upper=final_lr * (1 + 1 / grown),
            eps=self.eps,
        )
        return updates, StepByAdaboundState(step, *trees)


@factory
def adabound(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    *,
    final_lr: Hyperparameter = 0.1,
    gamma: Hyperparameter = 1e-3,
    amsbound: bool = False,
    base_lr: Hyperparameter | None = None,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """AdaBound: Adam with bounded step sizes, which end as SGD's.

    ::

        g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g^2
        w = max(w, v)  with amsbound,  else  v
        f = final_lr * lr / base_lr
        s = lr * sqrt(1 - betas[1]^t) / (1 - betas[0]^t) / (sqrt(w) + eps)
        s = min(max(s, f * (1 - 1 / (gamma * t + 1))), f * (1 + 1 / (gamma * t)))
        u = -s * m

    **Arguments:**

    - ``lr``: the initial learning rate, Adam's.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``eps``: added to the root, before its correction.
    - ``weight_decay``: L2 penalty.
    - ``final_lr``: the final learning rate, that of SGD with momentum.
    - ``gamma``: how fast the bounds close; they are close to each other after a few
      times ``1 / gamma`` steps.
    - ``amsbound``: divide by the largest second moment so far.
    - ``base_lr``: the value of ``lr`` to which ``final_lr`` corresponds: if ``lr`` is
      half of it, the final learning rate is halved, too. The default is ``lr``. It is
      required if that is a schedule, and does not change if ``lr`` is replaced later.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `StepByAdaboundState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range and for a ``base_lr`` that is
    missing.

    **Source:** Luo, Xiong, Liu and Sun, "Adaptive Gradient Methods with Dynamic Bound
    of Learning Rate", 2019, [arXiv:1902.09843](https://arxiv.org/abs/1902.09843).
    """
    if base_lr is None:
        if is_schedule(lr):
            raise ValueError(
                "adabound needs base_lr, the learning rate that final_lr goes with, "
                f"if lr is a schedule, found lr={lr!r}"
            )
        base_lr = lr
    return assemble(
        step_by_adabound(lr, betas, eps, final_lr, gamma, amsbound, base_lr),
        lr=None,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
