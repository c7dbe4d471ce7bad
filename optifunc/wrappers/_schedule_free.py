"""Schedule-free learning with any optimizer."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._dataclass import child, static
from .._hyperparameters import Value, current_hyperparameters
from .._leafwise import elementwise
from .._numerics import as_scalar, increment
from .._placement import copied
from .._state import PerParameter, Shared
from .._transformation import (
    GradientTransformation,
    State,
    require_params,
    transformation,
)
from .._tree import PyTree
from ._wrapper import Wrapper


class ScheduleFreeState(NamedTuple):
    """State of `schedule_free`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``weight_sum``: a float scalar, the sum of the weights of all iterates so far.
    - ``lr_max``: a float scalar, the largest learning rate so far.
    - ``z``: the inner optimizer's parameters.
    - ``inner``: its state.
    """

    step: Shared
    weight_sum: Shared
    lr_max: Shared
    z: PerParameter
    inner: State


@elementwise(outputs=2)
def _interpolated(
    updates: Array,
    z: Array,
    params: Array,
    *,
    share: Array,
    pull: Array,
    warmup: Array,
) -> tuple[Array, Array]:
    updates = warmup * updates
    return share * (z - params) + pull * updates, z + updates


@elementwise()
def extrapolated(params: Array, z: Array, *, momentum: Array) -> Array:
    """``x`` such that ``params`` is ``momentum * x + (1 - momentum) * z``."""
    return params + (1 - 1 / momentum) * (z - params)


@transformation
class schedule_free(Wrapper):
    """Average an optimizer's iterates so that no schedule is needed.

    ::

        z = z + warmup_t * inner(g)                           with g at y
        w = t^r * max(lr_1, ..., lr_t)^weight_lr_power,  W = W + w,  c = w / W
        x = (1 - c) * x + c * z
        y = momentum * x + (1 - momentum) * z

    where ``warmup_t = min(1, t / warmup_steps)`` and ``lr_t`` is ``warmup_t`` times the
    inner optimizer's learning rate; ``c`` is 0 as long as ``W`` is 0. Training holds
    the parameters ``y``, at which the gradients are computed. Evaluate the average
    ``x``, see `eval_params`; batch normalization's statistics must be recomputed at
    ``x``. Only ``z`` is stored in addition to ``y``, because ``x`` follows from the
    two.

    The inner optimizer should have no momentum, because the interpolation replaces it.
    It must be the last member of a chain::

        tx = of.schedule_free(of.adamw(1e-3, betas=(0.0, 0.999)), momentum=0.9)

    `schedule_free_sgd`, `schedule_free_adamw` and `schedule_free_radam` are complete
    optimizers.

    **Arguments:**

    - ``inner``: a transformation whose updates descend: an optimizer.
    - ``momentum``: how near ``y`` is to the average, above 0 and at most 1.
    - ``lr``: the learning rate for the weights. None: that of ``inner``, read from its
      hyperparameters. It is needed if ``inner`` has none or several of them, as with
      optax's optimizers or a `partition`; only ratios count.
    - ``warmup_steps``: the number of updates over which the inner updates grow to their
      full size.
    - ``r``: power of the step in the weights.
    - ``weight_lr_power``: power of the learning rate in the weights.
    - ``at_z``: show the inner optimizer ``z`` as the parameters, instead of ``y``, so
      that its weight decay acts there.

    Each number may be an array or a schedule.

    **State:** `ScheduleFreeState`, ``z`` in the parameters' shapes and dtypes.

    **Raises:** `ValueError` for a number out of range, without ``lr`` if ``inner`` does
    not have exactly one, and at `update` if ``params`` is missing; `TypeError` for
    sparse gradients.

    **Source:** Defazio et al., "The Road Less Scheduled", 2024,
    [arXiv:2405.15682](https://arxiv.org/abs/2405.15682).
    """

    inner: GradientTransformation = child()
    momentum: Value = 0.9
    lr: Value | None = None
    warmup_steps: Value = 0
    r: Value = 0.0
    weight_lr_power: Value = 2.0
    at_z: bool = static(default=False)

    def __post_init__(self) -> None:
        check_range("momentum", self.momentum, above=0, at_most=1)
        check_range("warmup_steps", self.warmup_steps, at_least=0)
        check_range("r", self.r, at_least=0)
        check_range("weight_lr_power", self.weight_lr_power, at_least=0)
        super().__post_init__()
        if self.lr is not None:
            check_range("lr", self.lr, at_least=0)
        elif "lr" not in (known := current_hyperparameters(self.inner, None)):
            raise ValueError(
                "schedule_free needs the learning rate of its optimizer to weight "
                f"the iterates, and found none or several in {sorted(known)}; "
                "pass lr=..., for which only ratios over time matter"
            )

    def init(self, params: PyTree) -> ScheduleFreeState:
        return ScheduleFreeState(
            step=jnp.zeros((), jnp.int32),
            weight_sum=as_scalar(0.0),
            lr_max=as_scalar(0.0),
            z=copied(params),
            inner=self.inner.init(params),
        )

    def evaluated(self, state: ScheduleFreeState, params: PyTree) -> PyTree:
        return extrapolated(params, state.z, momentum=self.momentum)

    def _learning_rate(self, state: ScheduleFreeState) -> Any:
        if self.lr is not None:
            return self.lr
        return current_hyperparameters(self.inner, state.inner)["lr"]

    def update(
        self,
        updates: PyTree,
        state: ScheduleFreeState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScheduleFreeState]:
        params = require_params(params, updates, "schedule_free")
        updates, inner = self.inner.update(
            updates, state.inner, state.z if self.at_z else params, **extra
        )
        step = increment(state.step)
        t = as_scalar(step)
        warmup = t / jnp.maximum(t, as_scalar(self.warmup_steps))
        lr = as_scalar(self._learning_rate(state))
        lr_max = jnp.maximum(state.lr_max, warmup * lr)
        weight = t ** as_scalar(self.r) * lr_max ** as_scalar(self.weight_lr_power)
        weight_sum = state.weight_sum + weight
        started = weight_sum > 0
        share = jnp.where(started, weight / jnp.where(started, weight_sum, 1), 0)
        updates, z = _interpolated(
            updates,
            state.z,
            params,
            share=share,
            pull=1 - as_scalar(self.momentum) * (1 - share),
            warmup=warmup,
        )
        return updates, ScheduleFreeState(step, weight_sum, lr_max, z, inner)
