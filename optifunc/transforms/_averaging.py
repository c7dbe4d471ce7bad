"""Averages of the parameters over the steps of a run."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_known_range, check_whole, checked_float
from .._dataclass import static
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._numerics import as_scalar, increment, lerp
from .._placement import copied, in_dtype_or_complex
from .._state import Keeps, PerParameter, Shared
from .._transformation import (
    GradientTransformation,
    apply_updates,
    require_params,
    transformation,
)
from .._tree import PyTree


class AverageState(NamedTuple):
    """State of `average_parameters`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``average``: the average of each parameter.
    """

    step: Shared
    average: Annotated[PerParameter, Keeps("decay")]


class EmaParametersState(NamedTuple):
    """State of `ema_parameters`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``weight``: float [], the total weight in the average of parameters other than the
      initial ones: ``1 - decay_1 * ... * decay_t``.
    - ``average``: for each parameter its average.
    """

    step: Shared
    weight: Shared
    average: Annotated[PerParameter, Keeps("decay")]


@elementwise()
def moved_average(average: Array, params: Array, *, weight: Array) -> Array:
    """The step of every average, including those of `optim.swa_utils`."""
    return lerp(average, params, weight)


def _average_after(
    updates: PyTree, average: PyTree, params: PyTree | None, weight: Any, name: str
) -> PyTree:
    """The average, moved toward the updated parameters."""
    params = apply_updates(require_params(params, average, name), updates)
    return moved_average(average, params, weight=weight)


def update_ema(params: PyTree, average: PyTree, decay: Any) -> PyTree:
    """One step of an exponential moving average of a tree, such as a target network.

    ::

        average = decay * average + (1 - decay) * params

    optax's ``incremental_update(new, old, step_size)`` is
    ``update_ema(new, old, 1 - step_size)``.

    **Arguments:**

    - ``params``: the new parameters.
    - ``average``: the average so far (the target network), a tree with the same
      structure and shapes.
    - ``decay``: the weight of the old average, in [0, 1]: a number or a scalar array.

    **Returns:** the new average, in the dtypes of ``average``, computed in at least
    float32. With a ``decay`` of 0, it is exactly ``params``; with 1, exactly
    ``average``.

    **Raises:** `ValueError` if ``decay`` is out of range or the trees differ.
    """
    check_known_range("decay", decay, at_least=0, at_most=1)
    return moved_average(average, params, weight=as_scalar(1 - decay))


@elementwise()
def _copied_when_due(target: Array, params: Array, *, is_due: Array) -> Array:
    return jnp.where(is_due != 0, params, target)


def periodic_update(params: PyTree, target: PyTree, step: Any, period: Any) -> PyTree:
    """A copy of the parameters that is updated every ``period`` steps.

    ``params`` if ``step`` is a multiple of ``period``, else ``target``: the target
    network of DQN.

    **Arguments:**

    - ``params``: the new parameters.
    - ``target``: the current copy, a tree with the same structure and shapes.
    - ``step``: the number of the step, an integer or an integer scalar array.
    - ``period``: an integer of at least 1.

    **Returns:** the new copy, in the dtypes of ``target``.

    **Raises:** `TypeError` or `ValueError` if ``period`` is not an integer of at least
    1; `ValueError` if the trees differ.
    """
    check_whole("period", period, at_least=1)
    is_due = jnp.mod(step, period) == 0
    return _copied_when_due(target, params, is_due=is_due)


@transformation
class ema_parameters(GradientTransformation):
    """Keep an exponential moving average of the parameters; leave the updates alone.

    ::

        a_1 = p_1
        a_t = decay * a_{t-1} + (1 - decay) * p_t

    where ``p_t`` are the parameters after update ``t``, so it must be the last member
    of a chain. This is `torch.optim.swa_utils.AveragedModel` with
    ``get_ema_multi_avg_fn(decay)``, updated after every step. In
    `accumulate_gradients`, it counts updates of the inner transformation.

    ``decay`` may be a schedule: `schedules.ema_decay_warmup` for a decay that rises
    from 0, `schedules.ema_half_life` for a half-life in examples,
    `schedules.power_ema_decay` for averages over a fixed fraction of the run,
    `schedules.from_to` for a teacher.

    **Arguments:**

    - ``decay``: the weight of the old average, in [0, 1].
    - ``every``: the number of updates between averaging steps, from ``start`` on, an
      integer.
    - ``start``: the number of updates to skip; until then, the average is a copy.
    - ``debias``: whether to average from 0 and divide by the sum of the weights, so
      that the first parameters count no more than the others: ``a_t`` is then ``sum_i
      w_i p_i / sum_i w_i`` with ``w_i = (1 - decay_i) * decay_{i+1} * ...``.
    - ``dtype``: the dtype of the averages of real parameters, by default each
      parameter's. A bfloat16 average stops moving if ``decay`` is near 1; use float32
      in that case.

    **State:** `EmaParametersState`; ``average`` has the shapes and dtypes of the
    parameters, and is a copy of them before the first update.

    **Raises:** `ValueError` if a number is out of range or ``dtype`` is not a float,
    `TypeError` if ``every`` or ``start`` is not an integer, and `ValueError` at
    `update` if ``params`` is missing.
    """

    leaves_updates: ClassVar[bool] = True
    needs_final_updates: ClassVar[bool] = True

    decay: Value = 0.999
    every: Value = 1
    start: Value = 0
    debias: bool = static(default=False)
    dtype: Any = static(default=None)

    def __post_init__(self) -> None:
        check_known_range("decay", self.decay, at_least=0, at_most=1)
        check_whole("every", self.every, at_least=1)
        check_whole("start", self.start, at_least=0)
        object.__setattr__(self, "dtype", checked_float("dtype", self.dtype))

    def init(self, params: PyTree) -> EmaParametersState:
        # A copy even if the conversion changes nothing.
        average = in_dtype_or_complex(copied(params), self.dtype)
        zero = jnp.zeros((), jnp.result_type(float))
        return EmaParametersState(jnp.zeros((), jnp.int32), zero, average)

    def evaluated(self, state: EmaParametersState, params: PyTree) -> PyTree:
        return state.average

    def update(
        self,
        updates: PyTree,
        state: EmaParametersState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, EmaParametersState]:
        since = as_scalar(state.step) - as_scalar(self.start)
        is_due = (since >= 0) & (jnp.mod(since, as_scalar(self.every)) == 0)
        new = as_scalar(1 - self.decay)
        total = state.weight + new * (1 - state.weight)
        weight = new / jnp.where(total > 0, total, 1) if self.debias else new
        # Until something has been averaged, the average is a copy.
        weight = jnp.where(is_due, weight, 0)
        weight = jnp.where(since <= 0, 1, weight)
        average = _average_after(
            updates, state.average, params, weight, "ema_parameters"
        )
        return updates, EmaParametersState(
            increment(state.step), jnp.where(is_due, total, state.weight), average
        )


@transformation
class average_parameters(GradientTransformation):
    """Keep the mean of the parameters; leave the updates alone.

    ::

        a_t = p_t                                       for t <= start + 1
        a_t = a_{t-1} + (p_t - a_{t-1}) / (t - start)   after

    where ``p_t`` are the parameters after update ``t``, so it must be the last member
    of a chain. This is `torch.optim.swa_utils.AveragedModel`, updated after every step
    from ``start`` on.

    **Arguments:**

    - ``start``: the number of updates to skip before the mean begins.

    **State:** `AverageState`; ``average`` has the shapes and dtypes of the parameters.

    **Raises:** `TypeError` or `ValueError` if ``start`` is not an integer of at least
    0, and `ValueError` at `update` if ``params`` is missing.

    **Source:** Polyak and Juditsky, "Acceleration of stochastic approximation by
    averaging", 1992; stochastic weight averaging: Izmailov et al., 2018,
    [arXiv:1803.05407](https://arxiv.org/abs/1803.05407).
    """

    leaves_updates: ClassVar[bool] = True
    needs_final_updates: ClassVar[bool] = True

    start: Value = 0

    def __post_init__(self) -> None:
        check_whole("start", self.start, at_least=0)

    def init(self, params: PyTree) -> AverageState:
        return AverageState(jnp.zeros((), jnp.int32), copied(params))

    def evaluated(self, state: AverageState, params: PyTree) -> PyTree:
        return state.average

    def update(
        self,
        updates: PyTree,
        state: AverageState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, AverageState]:
        averaged = jnp.maximum(as_scalar(state.step) - as_scalar(self.start), 0)
        average = _average_after(
            updates, state.average, params, 1 / (averaged + 1), "average_parameters"
        )
        return updates, AverageState(increment(state.step), average)
