"""SGD and AdamW without a schedule."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import increment, one_minus_power, second_moment, sqrt
from .._placement import zeros_like
from .._state import Keeps, NonNegative, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..wrappers._schedule_free import schedule_free
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleByCorrectedRmsState(NamedTuple):
    """State of `scale_by_corrected_rms`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg_sq``: the average of each parameter's squared gradients, from 0 and not
      debiased.
    """

    step: Shared
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]


@elementwise(outputs=2)
def _divided_by_rms(
    updates: Array, exp_avg_sq: Array, *, weight2: Array, scale: Array, eps: Array
) -> tuple[Array, Array]:
    exp_avg_sq = second_moment(exp_avg_sq, updates, weight2)
    return updates / (scale * sqrt(exp_avg_sq) + eps), exp_avg_sq


@transformation
class scale_by_corrected_rms(GradientTransformation):
    """Divide by the root of the debiased mean square.

    ::

        v = beta2 * v + (1 - beta2) * g^2
        u = g / (sqrt(v / (1 - beta2^t)) + eps)

    It is Adam's direction without the first moment.

    **Arguments:**

    - ``beta2``: the decay rate of the mean square, in [0, 1).
    - ``eps``: added to the root.

    **State:** `ScaleByCorrectedRmsState`, in the parameters' shapes and dtypes.

    **Raises:** `ValueError` for a number out of range.
    """

    beta2: Value = 0.999
    eps: Value = 1e-8

    def __post_init__(self) -> None:
        check_range("beta2", self.beta2, at_least=0, below=1)
        check_range("eps", self.eps, at_least=0)

    def init(self, params: PyTree) -> ScaleByCorrectedRmsState:
        return ScaleByCorrectedRmsState(jnp.zeros((), jnp.int32), zeros_like(params))

    def update(
        self,
        updates: PyTree,
        state: ScaleByCorrectedRmsState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByCorrectedRmsState]:
        step = increment(state.step)
        updates, exp_avg_sq = _divided_by_rms(
            updates,
            state.exp_avg_sq,
            weight2=1 - self.beta2,
            scale=1 / jnp.sqrt(one_minus_power(self.beta2, step)),
            eps=self.eps,
        )
        return updates, ScaleByCorrectedRmsState(step, exp_avg_sq)


@factory
def schedule_free_sgd(
    lr: Hyperparameter = 1.0,
    momentum: Hyperparameter = 0.9,
    weight_decay: Hyperparameter = 0.0,
    warmup_steps: Hyperparameter = 0,
    r: Hyperparameter = 0.0,
    weight_lr_power: Hyperparameter = 2.0,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Gradient descent without a schedule, which uses the average of its iterates.

    ::

        lr_t = lr * min(1, t / warmup_steps)
        z = z - lr_t * (g + weight_decay * y)                 with g at y
        w = t^r * max(lr_1, ..., lr_t)^weight_lr_power,  W = W + w,  c = w / W
        x = (1 - c) * x + c * z
        y = momentum * x + (1 - momentum) * z

    Training holds the parameters ``y``. Evaluate ``x``::

        tx = of.schedule_free_sgd(1.0)
        ...
        test_loss = loss(of.eval_params(tx, state, params))

    See `schedule_free` for what to know of it, and for other optimizers.

    **Arguments:**

    - ``lr``: the learning rate; a good one may be 10 to 50 times that of SGD with
      momentum.
    - ``momentum``: the weight of the average in ``y``, above 0 and at most 1.
    - ``weight_decay``: L2 penalty, taken at ``y``.
    - ``warmup_steps``: the number of updates over which the learning rate grows; 0:
      none.
    - ``r``: power of the step in the weights of the average.
    - ``weight_lr_power``: power of the learning rate in these weights.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScheduleFreeState`, ``z`` in the parameters' shapes and dtypes.

    **Complex parameters:** pass the conjugate of `jax.grad`'s result, as for `sgd`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params``
    is missing.

    **Source:** Defazio et al., "The Road Less Scheduled", 2024,
    [arXiv:2405.15682](https://arxiv.org/abs/2405.15682).
    """
    inner = assemble(lr=lr, weight_decay=weight_decay, mask=mask)
    wrapped = schedule_free(
        inner,
        momentum,
        warmup_steps=warmup_steps,
        r=r,
        weight_lr_power=weight_lr_power,
    )
    return assemble(wrapped, lr=None, maximize=maximize)


@factory
def schedule_free_adamw(
    lr: Hyperparameter = 2.5e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    warmup_steps: Hyperparameter = 0,
    r: Hyperparameter = 0.0,
    weight_lr_power: Hyperparameter = 2.0,
    decay_at_z: bool = False,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """AdamW without a schedule, which uses the average of its iterates.

    ::

        lr_t = lr * min(1, t / warmup_steps)
        v = betas[1] * v + (1 - betas[1]) * g^2               with g at y
        d = g / (sqrt(v / (1 - betas[1]^t)) + eps)
        z = z - lr_t * (d + weight_decay * (z if decay_at_z else y))
        w = t^r * max(lr_1, ..., lr_t)^weight_lr_power,  W = W + w,  c = w / W
        x = (1 - c) * x + c * z
        y = betas[0] * x + (1 - betas[0]) * z

    The interpolation with ``betas[0]`` replaces a first moment. Training holds the
    parameters ``y``; evaluate ``x``, which `eval_params` returns. See `schedule_free`
    for details. This is the authors' rule, which has a corrected second moment where
    the paper corrects the learning rate.

    **Arguments:**

    - ``lr``: the learning rate; a good one may be 1 to 10 times AdamW's.
    - ``betas``: the weight of the average in ``y``, above 0; and the decay rate of the
      mean square. Each is below 1.
    - ``eps``: added to the root, after its correction.
    - ``weight_decay``: decoupled decay, in units of the learning rate.
    - ``warmup_steps``: the number of updates over which the learning rate grows; 0:
      none.
    - ``r``: power of the step in the weights of the average.
    - ``weight_lr_power``: power of the learning rate in these weights.
    - ``decay_at_z``: let the decay act on ``z`` instead of on ``y``.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScheduleFreeState`, and in it `ScaleByCorrectedRmsState`: two numbers a
    parameter, as many as `adamw` keeps.

    **Complex parameters:** see `adam`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params``
    is missing.

    **Source:** Defazio et al., "The Road Less Scheduled", 2024,
    [arXiv:2405.15682](https://arxiv.org/abs/2405.15682).
    """
    check_betas(betas)
    momentum, beta2 = betas
    wrapped = schedule_free(
        assemble(
            scale_by_corrected_rms(beta2, eps),
            lr=lr,
            weight_decay=weight_decay,
            mask=mask,
        ),
        momentum,
        warmup_steps=warmup_steps,
        r=r,
        weight_lr_power=weight_lr_power,
        at_z=decay_at_z,
    )
    return assemble(wrapped, lr=None, maximize=maximize)
