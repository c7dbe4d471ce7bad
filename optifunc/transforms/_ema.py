"""An average of the updates."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_range, checked_float
from .._dataclass import static
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._numerics import as_scalar, first_moment, increment, one_minus_power
from .._placement import in_dtype_or_complex, zeros_like
from .._state import PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree


class EmaState(NamedTuple):
    """State of `ema`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``ema``: the average of each parameter's updates, not debiased.
    """

    step: Shared
    ema: PerParameter


@elementwise(outputs=2)
def _averaged_updates(
    updates: Array, ema: Array, *, weight: Array, correction: Array
) -> tuple[Array, Array]:
    ema = first_moment(ema, updates, weight)
    return ema / correction, ema


@transformation
class ema(GradientTransformation):
    """Replace the updates by their exponential moving average.

    ::

        m = decay * m + (1 - decay) * g
        u = m / (1 - decay**t)  with debias,  else  m

    For an average of parameters, see `ema_parameters`; for momentum, in which gradients
    have the weight 1, see `momentum`.

    **Arguments:**

    - ``decay``: the weight of the old average, in [0, 1).
    - ``debias``: whether to divide by the sum of the weights so far.
    - ``accumulator_dtype``: the dtype of the average of real leaves, by default each
      parameter's.

    **State:** `EmaState`.

    **Raises:** `ValueError` if ``decay`` is out of range or ``accumulator_dtype`` is
    not a float.
    """

    decay: Value = 0.9
    debias: bool = static(default=True)
    accumulator_dtype: Any = static(default=None)

    def __post_init__(self) -> None:
        check_range("decay", self.decay, at_least=0, below=1)
        dtype = checked_float("accumulator_dtype", self.accumulator_dtype)
        object.__setattr__(self, "accumulator_dtype", dtype)

    def init(self, params: PyTree) -> EmaState:
        zeros = in_dtype_or_complex(zeros_like(params), self.accumulator_dtype)
        return EmaState(jnp.zeros((), jnp.int32), zeros)

    def update(
        self,
        updates: PyTree,
        state: EmaState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, EmaState]:
        step = increment(state.step)
        correction = one_minus_power(self.decay, step) if self.debias else 1.0
        updates, average = _averaged_updates(
            updates,
            state.ema,
            weight=as_scalar(1 - self.decay),
            correction=correction,
        )
        return updates, EmaState(step, average)
