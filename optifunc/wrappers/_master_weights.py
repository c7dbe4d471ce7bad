"""float32 copies of narrow parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._dataclass import child, static
from .._rounding import is_narrow, moves, widened
from .._state import PerParameter
from .._transformation import (
    Child,
    GradientTransformation,
    State,
    require_params,
    transformation,
)
from .._tree import PyTree, is_sparse
from ._narrow import NarrowWrapper, check_dense, wide_update


class MasterWeightsState(NamedTuple):
    """State of `master_weights`.

    **Fields:**

    - ``master``: the copy of each narrow parameter in ``dtype``.
    - ``inner``: the inner transformation's state.
    """

    master: PerParameter
    inner: State


@transformation
class master_weights(NarrowWrapper):
    """Keep a float32 copy of each narrow parameter, and round the copy.

    ::

        u, inner = inner.update(float32(g), inner, master)
        master = master + u
        p = round(master)

    A bfloat16 parameter has 8 binary digits, so a step smaller than 1/512 of it changes
    nothing. Here, steps add up in the master weights. The inner transformation sees
    only float32 gradients and parameters, so its state is in float32, too. Parameters
    at least as wide as ``dtype`` have no copy and are left alone::

        tx = of.master_weights(of.adamw(1e-3))

    The updates for narrow parameters are in ``dtype``, and `apply_updates` rounds the
    sum to the new parameter. Save the master weights in checkpoints: they cannot be
    recovered from the rounded parameters.

    **Arguments:**

    - ``inner``: a transformation.
    - ``dtype``: the dtype of the master weights.

    **State:** `MasterWeightsState`.

    **Raises:** `ValueError` if ``dtype`` is not a real floating-point dtype, and at
    `update` if ``params`` is missing; `TypeError` for a sparse gradient of a narrow
    parameter.

    **Source:** Micikevicius et al., "Mixed precision training", 2018,
    [arXiv:1710.03740](https://arxiv.org/abs/1710.03740).
    """

    inner: GradientTransformation = child()
    dtype: Any = static(default=jnp.float32)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_floating("dtype", self.dtype)
        # A canonical form of each dtype, so that equal transformations compile once.
        object.__setattr__(self, "dtype", jnp.dtype(self.dtype))

    def params_of(self, child: Child, params: PyTree) -> PyTree:
        return widened(params, self.dtype)

    def init(self, params: PyTree) -> MasterWeightsState:
        master = jax.tree.map(self._master, params)
        return MasterWeightsState(master, self.inner.init(self._wide(master, params)))

    def _master(self, param: Any) -> Array | None:
        if not is_narrow(param, self.dtype):
            return None
        return lax.convert_element_type(param, self.dtype)

    def _wide(self, master: PyTree, params: PyTree) -> PyTree:
        """The parameters that the inner transformation sees."""
        return jax.tree.map(lambda p, m: p if m is None else m, params, master)

    def update(
        self,
        updates: PyTree,
        state: MasterWeightsState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, MasterWeightsState]:
        params = require_params(params, updates, "master_weights")
        check_dense(updates, params, "master_weights")
        updates, inner = wide_update(
            self.inner,
            updates,
            state.inner,
            params,
            self._wide(state.master, params),
            extra,
            self.dtype,
        )
        master = jax.tree.map(
            lambda u, m: None if m is None else m + u,
            updates,
            state.master,
            is_leaf=is_sparse,
        )
        return moves(params, updates, master), MasterWeightsState(master, inner)


def check_floating(name: str, dtype: Any) -> None:
    """Check that ``dtype`` is a real floating-point dtype."""
    try:
        is_floating = jnp.issubdtype(np.dtype(dtype), jnp.floating)
    except TypeError:
        is_floating = False
    if not is_floating:
        raise ValueError(f"{name} must be a real floating-point dtype, found {dtype!r}")
