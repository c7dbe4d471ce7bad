"""One update from the gradients of several micro-batches."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_choice, check_whole, checked_float
from .._dataclass import child, replace, static
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._numerics import as_scalar, increment
from .._placement import zeros_for
from .._state import PerParameter, Shared
from .._transformation import GradientTransformation, State, transformation
from .._tree import PyTree, compute_dtype
from ._conditionally import update_or_skip
from ._wrapper import Wrapper


class AccumulationState(NamedTuple):
    """State of `accumulate_gradients`.

    **Fields:**

    - ``micro_step``: int32 [], gradients accumulated since the last inner update.
    - ``step``: int32 [], inner updates done so far.
    - ``accumulated``: the mean or sum of these gradients for each parameter;
      meaningless if ``micro_step`` is 0.
    - ``inner``: the inner transformation's state.
    """

    micro_step: Shared
    step: Shared
    accumulated: PerParameter
    inner: State


@elementwise(outputs=2, static=("reduction",))
def _accumulated(
    updates: Array, accumulated: Array, *, count: Array, reduction: str
) -> tuple[Array, Array]:
    # Not `0 * accumulated`, which would keep an infinity from an earlier update.
    before = jnp.where(count > 1, accumulated, 0)
    # A running mean does not overflow where a float16 sum would.
    change = (updates - before) / count if reduction == "mean" else updates
    return before + change, before + change


@transformation
class accumulate_gradients(Wrapper):
    """Update once in ``every`` micro-batches, with the mean or sum of their gradients.

    ::

        u, inner = inner.update(mean(g_1, ..., g_every)) at every last micro-batch u =
        0, inner unchanged at the others

    The inner transformation is computed only when it is due; it sees the ``params`` and
    extra arguments of that micro-batch. With the mean, ``every`` micro-batches of equal
    size give the step of one batch that contains all of them.

    **Arguments:**

    - ``inner``: a transformation.
    - ``every``: an integer, or a schedule, which is evaluated at the number of inner
      updates done.
    - ``reduction``: ``"mean"`` or ``"sum"``.
    - ``accumulator_dtype``: the dtype to accumulate real leaves in. By default, it is
      each parameter's, but at least float32, because a bfloat16 mean of many gradients
      would be too inaccurate; complex leaves keep theirs. The inner transformation gets
      the result in the gradients' dtypes.

    **State:** `AccumulationState`.

    **Raises:** `TypeError` or `ValueError` if ``every`` is not an integer of at least
    1, `ValueError` for an unknown ``reduction``; `TypeError` for sparse gradients.
    """

    inner: GradientTransformation = child()
    every: Value
    reduction: str = static(default="mean")
    accumulator_dtype: Any = static(default=None)

    def __post_init__(self) -> None:
        check_whole("every", self.every, at_least=1)
        check_choice("reduction", self.reduction, ("mean", "sum"))
        dtype = checked_float("accumulator_dtype", self.accumulator_dtype)
        object.__setattr__(self, "accumulator_dtype", dtype)
        super().__post_init__()

    def _every(self, step: Array) -> Any:
        return self.every(step) if callable(self.every) else self.every

    def in_force(self, state: AccumulationState) -> accumulate_gradients:
        return replace(self, every=self._every(state.step))

    def init(self, params: PyTree) -> AccumulationState:
        def zeros(param: Any) -> Array:
            dtype = jnp.result_type(param)
            if self.accumulator_dtype is None or jnp.issubdtype(
                dtype, jnp.complexfloating
            ):
                return zeros_for(param, compute_dtype(dtype))
            return zeros_for(param, self.accumulator_dtype)

        return AccumulationState(
            micro_step=jnp.zeros((), jnp.int32),
            step=jnp.zeros((), jnp.int32),
            accumulated=jax.tree.map(zeros, params),
            inner=self.inner.init(params),
        )

    def update(
        self,
        updates: PyTree,
        state: AccumulationState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, AccumulationState]:
        count = increment(state.micro_step)
        due = as_scalar(count) >= as_scalar(self._every(state.step))
        reduced, accumulated = _accumulated(
            updates, state.accumulated, count=count, reduction=self.reduction
        )
        updates, inner = update_or_skip(
            due,
            self.inner,
            state.inner,
            reduced,
            params,
            extra,
        )
        return updates, AccumulationState(
            jnp.where(due, 0, count),
            jnp.where(due, increment(state.step), state.step),
            accumulated,
            inner,
        )
