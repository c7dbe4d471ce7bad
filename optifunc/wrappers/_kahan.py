"""Rounding errors of a step, carried over to the next one."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._dataclass import child
from .._placement import zeros_for
from .._rounding import is_narrow, moves, rounded, widened
from .._state import Restarting
from .._transformation import (
    GradientTransformation,
    State,
    require_params,
    transformation,
)
from .._tree import PyTree, is_sparse, leaf_dtype
from ._narrow import NarrowWrapper, check_dense, wide_update


class KahanState(NamedTuple):
    """State of `kahan`.

    **Fields:**

    - ``kahan_comp``: the part of its steps that each narrow parameter has not yet
      received, in its dtype.
    - ``inner``: the inner transformation's state.
    """

    kahan_comp: Restarting
    inner: State


def _compensated(param: Array, comp: Array, update: Array) -> tuple[Array, Array]:
    """The next parameter, in float32, and compensation."""
    dtype = leaf_dtype(param)
    old, due = (lax.convert_element_type(x, update.dtype) for x in (param, comp))
    due = rounded(due + update, dtype)
    new = rounded(old + due, dtype)
    # An unchanged infinity loses nothing.
    lost = jnp.where(new == old, jnp.zeros_like(old), old - new)
    rest = due + rounded(lost, dtype)
    return new, lax.convert_element_type(rest, dtype)


@transformation
class kahan(NarrowWrapper):
    """Carry rounding errors over to the next step (Kahan summation).

    ::

        u, inner = inner.update(float32(g), inner, float32(p))
        k = round(k + u)
        q = round(p + k)
        k = round(k + round(p - q))
        p = q

    where ``round`` is to the parameter's dtype. A bfloat16 parameter loses steps
    smaller than 1/512 of it. Here, such steps add up in ``k``, at the cost of one more
    narrow number per parameter, half the cost of `master_weights`. The inner
    transformation sees float32 and keeps its state in float32; decay is part of ``u``.
    Parameters in float32 or wider are left alone::

        tx = of.kahan(of.adamw(1e-3))

    The updates for narrow parameters are in float32, and `apply_updates` rounds the
    result to ``q``.

    **Arguments:**

    - ``inner``: a transformation.

    **State:** `KahanState`.

    **Raises:** `ValueError` at `update` if ``params`` is missing; `TypeError` for a
    sparse gradient of a narrow parameter.

    **Source:** Kahan, "Further remarks on reducing truncation errors", 1965; for
    training in bfloat16: Zamirai et al., "Revisiting BFloat16 training", 2020,
    [arXiv:2010.06192](https://arxiv.org/abs/2010.06192).
    """

    inner: GradientTransformation = child()

    def init(self, params: PyTree) -> KahanState:
        def zeros(param: Any) -> Array | None:
            return zeros_for(param) if is_narrow(param) else None

        return KahanState(jax.tree.map(zeros, params), self.inner.init(widened(params)))

    def update(
        self,
        updates: PyTree,
        state: KahanState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, KahanState]:
        params = require_params(params, updates, "kahan")
        check_dense(updates, params, "kahan")
        updates, inner = wide_update(
            self.inner, updates, state.inner, params, widened(params), extra
        )

        def new(update: Any, param: Any, comp: Any) -> Any:
            return None if comp is None else _compensated(param, comp, update)[0]

        def carried(update: Any, param: Any, comp: Any) -> Any:
            return None if comp is None else _compensated(param, comp, update)[1]

        trees = updates, params, state.kahan_comp
        wanted, comp = (
            jax.tree.map(part, *trees, is_leaf=is_sparse) for part in (new, carried)
        )
        return moves(params, updates, wanted), KahanState(comp, inner)
