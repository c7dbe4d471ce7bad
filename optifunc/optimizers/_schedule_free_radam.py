"""RAdam without a schedule."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._dataclass import child, replace, static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import as_scalar, increment, one_minus_power, second_moment, sqrt
from .._placement import zeros_like
from .._state import Keeps, NonNegative, Shared
from .._transformation import GradientTransformation, State, identity, transformation
from .._tree import PyTree
from ..schedules._function import as_schedule
from ..transforms._scaling import scale_by_learning_rate
from ..wrappers._schedule_free import schedule_free
from ..wrappers._scheduled import values_at
from ..wrappers._selection import Mask
from ..wrappers._wrapper import Wrapper
from ._assemble import assemble
from ._factory import factory
from ._radam import squared_rectification


class StepByRectifiedRmsState(NamedTuple):
    """State of `step_by_rectified_rms`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg_sq``: the average of each parameter's squared gradients, from 0 and not
      debiased.
    - ``decay``: the decay's state.
    """

    step: Shared
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]
    decay: State


@elementwise(outputs=2)
def _divided_if_tractable(
    updates: Array,
    exp_avg_sq: Array,
    *,
    weight2: Array,
    scale: Array,
    eps: Array,
    tractable: Array,
) -> tuple[Array, Array]:
    exp_avg_sq = second_moment(exp_avg_sq, updates, weight2)
    divided = updates / (scale * sqrt(exp_avg_sq) + eps)
    return jnp.where(tractable > 0, divided, updates), exp_avg_sq


@transformation
class step_by_rectified_rms(Wrapper):
    """Divide by the root mean square, with a rectified learning rate.

    The rule: see `schedule_free_radam`, whose ``z`` takes these steps. The learning
    rate that `current_hyperparameters` returns is the rectified one.

    **Arguments:**

    - ``decay``: a transformation of the direction before it is multiplied by the
      learning rate, such as `add_decayed_weights`.
    - ``lr``: see `schedule_free_radam`.
    - ``beta2``: the decay rate of the mean square, in [0, 1).
    - ``eps``, ``silent_sgd_phase``: see `schedule_free_radam`.

    **State:** `StepByRectifiedRmsState`.

    **Raises:** `ValueError` for a number out of range.
    """

    decay: GradientTransformation = child(default=identity())
    lr: Value = 2.5e-3
    beta2: Value = 0.999
    eps: Value = 1e-8
    silent_sgd_phase: bool = static(default=True)

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_range("beta2", self.beta2, at_least=0, below=1)
        check_range("eps", self.eps, at_least=0)
        super().__post_init__()
        for name in ("lr", "beta2", "eps"):
            object.__setattr__(self, name, as_schedule(getattr(self, name)))

    def in_force(self, state: StepByRectifiedRmsState) -> step_by_rectified_rms:
        now = values_at(self, state.step)
        square = squared_rectification(now.beta2, increment(state.step), 4)
        before = 0 if self.silent_sgd_phase else 1
        factor = jnp.where(square > 0, sqrt(square), before)
        return replace(now, lr=as_scalar(now.lr) * factor)

    def init(self, params: PyTree) -> StepByRectifiedRmsState:
        return StepByRectifiedRmsState(
            step=jnp.zeros((), jnp.int32),
            exp_avg_sq=zeros_like(params),
            decay=self.decay.init(params),
        )

    def update(
        self,
        updates: PyTree,
        state: StepByRectifiedRmsState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByRectifiedRmsState]:
        now = self.in_force(state)
        step = increment(state.step)
        updates, exp_avg_sq = _divided_if_tractable(
            updates,
            state.exp_avg_sq,
            weight2=1 - now.beta2,
            scale=1 / jnp.sqrt(one_minus_power(now.beta2, step)),
            eps=now.eps,
            tractable=squared_rectification(now.beta2, step, 4),
        )
        updates, decay = self.decay.update(updates, state.decay, params, **extra)
        updates = scale_by_learning_rate(now.lr).apply(updates)
        return updates, StepByRectifiedRmsState(step, exp_avg_sq, decay)


@factory
def schedule_free_radam(
    lr: Hyperparameter = 2.5e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    r: Hyperparameter = 0.0,
    weight_lr_power: Hyperparameter = 2.0,
    silent_sgd_phase: bool = True,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """RAdam that needs neither a schedule nor a warm-up.

    ::

        rho_t = rho_inf - 2 t betas[1]^t / (1 - betas[1]^t)
        rho_inf = 2 / (1 - betas[1]) - 1
        r_t = sqrt((rho_t - 4)(rho_t - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho_t))
        v = betas[1] * v + (1 - betas[1]) * g^2               with g at y
        d, lr_t = g / (sqrt(v / (1 - betas[1]^t)) + eps), lr * r_t      if rho_t > 4
                = g, (0 if silent_sgd_phase else lr)                    if not
        z = z - lr_t * (d + weight_decay * y)
        w = t^r * max(lr_1, ..., lr_t)^weight_lr_power,  W = W + w,  c = w / W
        x = (1 - c) * x + c * z
        y = betas[0] * x + (1 - betas[0]) * z

    In the silent phase, the first four steps with the default ``betas``, nothing moves.
    Unlike `radam`'s, the limit of ``rho_t`` is 4. Training holds the parameters ``y``;
    evaluate ``x``, which `eval_params` returns. See `schedule_free` for details.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: the weight of the average in ``y``, above 0; and the decay rate of the
      mean square. Each is below 1.
    - ``eps``: added to the root, after its correction.
    - ``weight_decay``: decoupled decay, in units of the learning rate.
    - ``r``: power of the step in the weights of the average.
    - ``weight_lr_power``: power of the learning rate in these weights.
    - ``silent_sgd_phase``: skip the initial steps of gradient descent.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScheduleFreeState`, and in it `StepByRectifiedRmsState`.

    **Complex parameters:** see `adam`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params``
    is missing.

    **Source:** the authors'
    [schedule_free](https://github.com/facebookresearch/schedule_free), with Liu et al.,
    2020, [arXiv:1908.03265](https://arxiv.org/abs/1908.03265).
    """
    check_betas(betas)
    momentum, beta2 = betas
    decay = assemble(lr=None, weight_decay=weight_decay, mask=mask, decay="coupled")
    wrapped = schedule_free(
        step_by_rectified_rms(decay, lr, beta2, eps, silent_sgd_phase),
        momentum,
        r=r,
        weight_lr_power=weight_lr_power,
    )
    return assemble(wrapped, lr=None, maximize=maximize)
