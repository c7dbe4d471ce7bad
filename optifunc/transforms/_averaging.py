"""Averages of the parameters over the steps of a run."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_known_range, check_whole
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._numerics import as_scalar, increment, lerp
from .._placement import copied
from .._state import PerParameter, Shared
from .._transformation import (
    GradientTransformation,
    apply_updates,
    require_params,
    transformation,
)
from .._tree import PyTree


class AverageState(NamedTuple):
    """State of `ema_parameters` and of `average_parameters`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``average``: for each parameter its average.
    """

    step: Shared
    average: PerParameter


@elementwise()
def _moved_average(average: Array, params: Array, *, weight: Array) -> Array:
    return lerp(average, params, weight)


def _init(params: PyTree) -> AverageState:
    return AverageState(jnp.zeros((), jnp.int32), copied(params))


def _update(
    updates: PyTree, state: AverageState, params: PyTree | None, weight: Any, name: str
) -> AverageState:
    params = apply_updates(require_params(params, state.average, name), updates)
    average = _moved_average(state.average, params, weight=weight)
    return AverageState(increment(state.step), average)


@transformation
class ema_parameters(GradientTransformation):
    """Keep an exponential moving average of the parameters; leave the updates alone.

    ::

        a_1 = p_1
        a_t = decay * a_{t-1} + (1 - decay) * p_t

    where ``p_t`` are the parameters after update ``t``, so it must stand last in a
    chain. This is `torch.optim.swa_utils.AveragedModel` with
    ``get_ema_multi_avg_fn(decay)``, updated after every step.

    **Arguments:**

    - ``decay``: how much of the average is kept, in [0, 1].

    **State:** `AverageState`; ``average`` has the shapes and dtypes of the parameters,
    and is a copy of them before the first update.

    **Raises:** `ValueError` if ``decay`` is out of range, and at `update` if ``params``
    is missing.
    """

    decay: Value = 0.999

    def __post_init__(self) -> None:
        check_known_range("decay", self.decay, at_least=0, at_most=1)

    def init(self, params: PyTree) -> AverageState:
        return _init(params)

    def evaluated(self, state: AverageState, params: PyTree) -> PyTree:
        return state.average

    def update(
        self,
        updates: PyTree,
        state: AverageState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, AverageState]:
        new = as_scalar(1 - self.decay)
        weight = jnp.where(state.step == 0, 1, new)
        return updates, _update(updates, state, params, weight, "ema_parameters")


@transformation
class average_parameters(GradientTransformation):
    """Keep the mean of the parameters; leave the updates alone.

    ::

        a_t = p_t                                       for t <= start + 1
        a_t = a_{t-1} + (p_t - a_{t-1}) / (t - start)   after

    where ``p_t`` are the parameters after update ``t``, so it must stand last in a
    chain. This is `torch.optim.swa_utils.AveragedModel`, updated after every step from
    ``start`` on.

    **Arguments:**

    - ``start``: how many updates to let pass before the mean begins.

    **State:** `AverageState`; ``average`` has the shapes and dtypes of the parameters.

    **Raises:** `TypeError` or `ValueError` if ``start`` is not an integer of at least
    0, and `ValueError` at `update` if ``params`` is missing.

    **Source:** Polyak and Juditsky, "Acceleration of stochastic approximation by
    averaging", 1992; stochastic weight averaging: Izmailov et al., 2018,
    [arXiv:1803.05407](https://arxiv.org/abs/1803.05407).
    """

    start: Value = 0

    def __post_init__(self) -> None:
        check_whole("start", self.start, at_least=0)

    def init(self, params: PyTree) -> AverageState:
        return _init(params)

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
        weight = 1 / (averaged + 1)
        return updates, _update(updates, state, params, weight, "average_parameters")
