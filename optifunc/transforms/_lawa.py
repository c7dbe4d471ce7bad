"""The mean of the latest snapshots of the parameters."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_integer
from .._dataclass import static
from .._leafwise import leafwise
from .._numerics import as_scalar, increment
from .._placement import zeros_like_result
from .._state import PerParameter, Shared
from .._transformation import (
    GradientTransformation,
    apply_updates,
    require_params,
    transformation,
)
from .._tree import PyTree, flatten_like, leaves_with_names


class LawaParametersState(NamedTuple):
    """State of `lawa_parameters`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``snapshots``: for each parameter, an array whose first axis has the last
      ``window`` snapshots, the newest at ``(step // every - 1) % window``.
    """

    step: Shared
    snapshots: PerParameter


@leafwise(static=("window",))
def _mean_of_snapshots(
    params: Array, snapshots: Array, *, count: Array, window: int
) -> Array:
    stored = jnp.clip(count, 1, window).astype(snapshots.dtype)
    # Missing snapshots are 0.
    return jnp.where(count > 0, jnp.sum(snapshots, 0) / stored, params)


@transformation
class lawa_parameters(GradientTransformation):
    """Keep the mean of the latest snapshots of the parameters; leave the updates alone.

    ::

        a_t = mean of p_s, p_{s - every}, ..., p_{s - (window - 1) * every}
        s   = the last multiple of every that is at most t

    where ``p_t`` are the parameters after update ``t``, so it must be the last member
    of a chain. Until there are ``window`` snapshots, it is the mean of those that
    exist, and before the first one, it is the parameters themselves. `eval_params`
    returns it.

    It keeps ``window`` copies of the parameters; ``state_dtype(of.lawa_parameters(...),
    jnp.bfloat16)`` halves them. `ema_parameters` keeps one copy, and never forgets
    completely.

    **Arguments:**

    - ``window``: the number of snapshots to average, an integer of at least 1.
    - ``every``: the number of updates between two snapshots, an integer of at least 1;
      in the paper, an epoch.

    **State:** `LawaParametersState`; snapshots have the parameters' dtypes.

    **Raises:** `TypeError` or `ValueError` if ``window`` or ``every`` is not an integer
    of at least 1, and `ValueError` at `update` if ``params`` is missing.

    **Source:** Kaddour, "Stop Wasting My Time! Saving Days of ImageNet and BERT
    Training with Latest Weight Averaging", 2022,
    [arXiv:2209.14981](https://arxiv.org/abs/2209.14981).
    """

    leaves_updates: ClassVar[bool] = True
    needs_final_updates: ClassVar[bool] = True

    window: int = static()
    every: int = static()

    def __post_init__(self) -> None:
        check_integer("window", self.window, at_least=1)
        check_integer("every", self.every, at_least=1)

    def init(self, params: PyTree) -> LawaParametersState:
        def repeated(leaf: Any) -> Array:
            return jnp.broadcast_to(leaf, (self.window, *jnp.shape(leaf)))

        snapshots = jax.tree.map(partial(zeros_like_result, repeated), params)
        return LawaParametersState(jnp.zeros((), jnp.int32), snapshots)

    def evaluated(self, state: LawaParametersState, params: PyTree) -> PyTree:
        count = as_scalar(state.step // self.every)
        return _mean_of_snapshots(
            params, state.snapshots, count=count, window=self.window
        )

    def update(
        self,
        updates: PyTree,
        state: LawaParametersState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, LawaParametersState]:
        params = require_params(params, updates, "lawa_parameters")
        params = apply_updates(params, updates)
        _check_shapes(params, state.snapshots)
        step = increment(state.step)
        is_due = step % self.every == 0
        place = (step // self.every - 1) % self.window

        def stored(snapshots: Array, param: Array) -> Array:
            # Only one of them is read and written, in whatever dtype they are kept.
            old = lax.dynamic_index_in_dim(snapshots, place, 0, keepdims=False)
            param = lax.convert_element_type(param, snapshots.dtype)
            chosen = jnp.where(is_due, param, old)
            new: Array = lax.dynamic_update_index_in_dim(snapshots, chosen, place, 0)
            return new

        snapshots = jax.tree.map(stored, state.snapshots, params)
        return updates, LawaParametersState(step, snapshots)


def _check_shapes(params: PyTree, snapshots: PyTree) -> None:
    """Check that the snapshots match the parameters."""
    kept = flatten_like(snapshots, params, ("the snapshots", "params"))
    for (path, leaf), array in zip(leaves_with_names(params), kept, strict=True):
        if jnp.shape(leaf) != jnp.shape(array)[1:]:
            raise ValueError(
                f"params must have the shapes that init saw: at {path!r} it was "
                f"{jnp.shape(array)[1:]}, found {jnp.shape(leaf)}"
            )
