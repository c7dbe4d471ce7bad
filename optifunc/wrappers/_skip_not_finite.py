"""Updates that are skipped because they are not finite."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_integer
from .._collectives import AxisName, check_axis_name, total_over_devices
from .._dataclass import child, static
from .._numerics import increment
from .._state import Shared
from .._transformation import GradientTransformation, State, transformation
from .._tree import PyTree, is_sparse
from ._conditionally import update_or_skip
from ._wrapper import Wrapper


def all_finite(tree: PyTree, axis_name: AxisName = None) -> Array:
    """Whether each element of each leaf is finite: bool []."""
    leaves = jax.tree.leaves(tree, is_leaf=is_sparse)
    finite = [jnp.all(jnp.isfinite(x.data if is_sparse(x) else x)) for x in leaves]
    if axis_name is None:
        return jnp.all(jnp.array(finite, dtype=bool))
    return total_over_devices((~x for x in finite), axis_name) == 0


class SkipNotFiniteState(NamedTuple):
    """State of `skip_not_finite`.

    **Fields:**

    - ``skipped``: int32 [], updates skipped so far.
    - ``consecutive``: int32 [], non-finite updates since the last finite one.
    - ``inner``: the inner transformation's state.
    """

    skipped: Shared
    consecutive: Shared
    inner: State


@transformation
class skip_not_finite(Wrapper):
    """Skip an update if any element of any leaf is infinite or NaN.

    ``u, inner = inner.update(g)`` if all of ``g`` is finite, else ``u = 0`` and the
    inner state does not change. ``state.skipped`` counts the skipped updates.

    **Arguments:**

    - ``inner``: a transformation.
    - ``max_consecutive``: apply an update anyway if this many consecutive updates
      before it were not finite either, so that a failed run is noticed; ``None`` always
      skips.
    - ``axis_name``: the axis of the mesh over which leaves are split, inside
      `jax.shard_map`; see `global_norm`. Without it, each device decides for itself.

    **State:** `SkipNotFiniteState`.

    **Raises:** `TypeError` or `ValueError` if ``max_consecutive`` is not an integer of
    at least 0.
    """

    inner: GradientTransformation = child()
    max_consecutive: int | None = static(default=None)
    axis_name: AxisName = static(default=None)

    def __post_init__(self) -> None:
        if self.max_consecutive is not None:
            check_integer("max_consecutive", self.max_consecutive, at_least=0)
        check_axis_name(self.axis_name)
        super().__post_init__()

    def init(self, params: PyTree) -> SkipNotFiniteState:
        return SkipNotFiniteState(
            skipped=jnp.zeros((), jnp.int32),
            consecutive=jnp.zeros((), jnp.int32),
            inner=self.inner.init(params),
        )

    def update(
        self,
        updates: PyTree,
        state: SkipNotFiniteState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, SkipNotFiniteState]:
        finite = all_finite(updates, self.axis_name)
        consecutive = jnp.where(finite, 0, increment(state.consecutive))
        applied = finite
        if self.max_consecutive is not None:
            applied = finite | (consecutive > self.max_consecutive)
        updates, inner = update_or_skip(
            applied,
            self.inner,
            state.inner,
            updates,
            params,
            extra,
        )
        skipped = jnp.where(applied, state.skipped, increment(state.skipped))
        return updates, SkipNotFiniteState(skipped, consecutive, inner)
