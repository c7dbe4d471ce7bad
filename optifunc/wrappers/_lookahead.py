"""Lookahead."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_range, check_whole
from .._dataclass import child, static
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._numerics import as_scalar, increment
from .._placement import copied
from .._state import PerParameter, Shared
from .._transformation import (
    GradientTransformation,
    State,
    apply_updates,
    require_params,
    transformation,
)
from .._tree import PyTree
from ._wrapper import Wrapper


class LookaheadState(NamedTuple):
    """State of `lookahead`.

    **Fields:**

    - ``steps_since_sync``: int32 [], updates since the fast parameters were last set
      to the slow ones.
    - ``slow``: the slow parameters.
    - ``inner``: the inner transformation's state.
    """

    steps_since_sync: Shared
    slow: PerParameter
    inner: State


@elementwise(outputs=2)
def _looked_ahead(
    updates: Array, slow: Array, params: Array, *, weight: Array, due: Array
) -> tuple[Array, Array]:
    synced = slow + weight * (params + updates - slow)
    is_due = due > 0
    return jnp.where(is_due, synced - params, updates), jnp.where(is_due, synced, slow)


@transformation
class lookahead(Wrapper):
    """Let slow parameters periodically follow the fast ones of another optimizer.

    ::

        p = p + inner(g)                                      at every update
        s = s + slow_step_size * (p - s),  p = s              at every sync_period-th

    Training holds the fast parameters ``p``. The slow ones ``s`` are in the state and
    start as a copy of the parameters. So it is a transformation like any other: its
    update moves ``p`` to the right place. Evaluate the slow ones, see `eval_params`. It
    must be the last member of a chain::

        of.chain(of.clip_by_global_norm(1.0), of.lookahead(of.radam(1e-3)))

    **Arguments:**

    - ``inner``: a transformation whose updates descend: an optimizer.
    - ``sync_period``: an integer of at least 1.
    - ``slow_step_size``: the fraction of the distance from the slow to the fast
      parameters, in [0, 1]. With 1, it is just the inner optimizer.
    - ``reset_state``: reset the inner transformation's state after each sync.

    **State:** `LookaheadState`, ``slow`` in the parameters' shapes and dtypes.

    **Raises:** `TypeError` or `ValueError` if ``sync_period`` is not an integer of at
    least 1, `ValueError` for a ``slow_step_size`` out of range, and at `update` if
    ``params`` is missing; `TypeError` for sparse gradients.

    **Source:** Zhang et al., "Lookahead Optimizer: k steps forward, 1 step back", 2019,
    [arXiv:1907.08610](https://arxiv.org/abs/1907.08610).
    """

    inner: GradientTransformation = child()
    sync_period: Value = 5
    slow_step_size: Value = 0.5
    reset_state: bool = static(default=False)

    def __post_init__(self) -> None:
        check_whole("sync_period", self.sync_period, at_least=1)
        check_range("slow_step_size", self.slow_step_size, at_least=0, at_most=1)
        super().__post_init__()

    def init(self, params: PyTree) -> LookaheadState:
        return LookaheadState(
            steps_since_sync=jnp.zeros((), jnp.int32),
            slow=copied(params),
            inner=self.inner.init(params),
        )

    def evaluated(self, state: LookaheadState, params: PyTree) -> PyTree:
        return state.slow

    def update(
        self,
        updates: PyTree,
        state: LookaheadState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, LookaheadState]:
        params = require_params(params, updates, "lookahead")
        updates, inner = self.inner.update(updates, state.inner, params, **extra)
        count = increment(state.steps_since_sync)
        due = as_scalar(count) >= as_scalar(self.sync_period)
        updates, slow = _looked_ahead(
            updates, state.slow, params, weight=self.slow_step_size, due=due
        )
        if self.reset_state:
            fresh = self.inner.init(apply_updates(params, updates))
            inner = jax.tree.map(lambda x, y: jnp.where(due, x, y), fresh, inner)
        return updates, LookaheadState(jnp.where(due, 0, count), slow, inner)
