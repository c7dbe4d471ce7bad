"""float32 parameters in two halves; the model sees the upper one."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._dataclass import child
from .._placement import zeros_for
from .._rounding import is_narrow, moves, widened
from .._state import PerParameter
from .._transformation import (
    GradientTransformation,
    State,
    require_params,
    transformation,
)
from .._tree import PyTree, is_sparse
from ._narrow import NarrowWrapper, check_bfloat16, check_dense, wide_update


class SplitWeightsState(NamedTuple):
    """State of `split_weights`.

    **Fields:**

    - ``lower``: uint16, the lower half of the float32 number for each bfloat16
      parameter.
    - ``inner``: the inner transformation's state.
    """

    lower: PerParameter
    inner: State


def _from_halves(upper: Array, lower: Array) -> Array:
    """The float32 number with these halves."""
    high = lax.convert_element_type(
        lax.bitcast_convert_type(upper, jnp.uint16), jnp.uint32
    )
    low = lax.convert_element_type(lower, jnp.uint32)
    return lax.bitcast_convert_type((high << jnp.uint32(16)) | low, jnp.float32)


def _halves(x: Array) -> tuple[Array, Array]:
    """The upper half of float32 numbers, as float32 ones, and the lower, as uint16."""
    pattern = lax.bitcast_convert_type(x, jnp.uint32)
    upper = lax.bitcast_convert_type(pattern & jnp.uint32(0xFFFF0000), jnp.float32)
    lower = lax.convert_element_type(pattern & jnp.uint32(0xFFFF), jnp.uint16)
    return upper, lower


@transformation
class split_weights(NarrowWrapper):
    """Keep the lower halves of float32 parameters whose upper halves are bfloat16.

    ::

        w = p | k                          (the bits of p, then those of k: float32)
        u, inner = inner.update(float32(g), inner, w)
        p | k = w + u

    The steps are exactly those of float32 parameters, as with `master_weights`, but
    parameter and state together take 4 bytes instead of 6. The parameter is the
    truncated, not rounded, float32 number, which is closer to 0 by half a digit on
    average. Parameters in float32 or wider are left alone::

        tx = of.split_weights(of.adamw(1e-3))

    The updates for bfloat16 parameters are in float32, and `apply_updates` computes the
    new upper halves from them. Save the lower halves in checkpoints.

    **Arguments:**

    - ``inner``: a transformation.

    **State:** `SplitWeightsState`.

    **Raises:** `TypeError` for narrow parameters with a dtype other than bfloat16, and
    for a sparse gradient of one; `ValueError` at `update` if ``params`` is missing.

    **Source:** the representation in
    [modded-nanogpt](https://github.com/KellerJordan/modded-nanogpt).
    """

    inner: GradientTransformation = child()

    def init(self, params: PyTree) -> SplitWeightsState:
        check_bfloat16(params, "split_weights")

        def zeros(param: Any) -> Array | None:
            return zeros_for(param, jnp.uint16) if is_narrow(param) else None

        lower = jax.tree.map(zeros, params)
        return SplitWeightsState(lower, self.inner.init(widened(params)))

    def update(
        self,
        updates: PyTree,
        state: SplitWeightsState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, SplitWeightsState]:
        params = require_params(params, updates, "split_weights")
        check_dense(updates, params, "split_weights")

        def whole(update: Any, param: Any, lower: Any) -> Any:
            return param if lower is None else _from_halves(param, lower)

        wide = jax.tree.map(whole, updates, params, state.lower, is_leaf=is_sparse)
        updates, inner = wide_update(
            self.inner, updates, state.inner, params, wide, extra
        )

        def upper(update: Any, lower: Any, old: Any) -> Any:
            return None if lower is None else _halves(old + update)[0]

        def rest(update: Any, lower: Any, old: Any) -> Any:
            return None if lower is None else _halves(old + update)[1]

        trees = updates, state.lower, wide
        wanted, lower = (
            jax.tree.map(half, *trees, is_leaf=is_sparse) for half in (upper, rest)
        )
        return moves(params, updates, wanted), SplitWeightsState(lower, inner)
