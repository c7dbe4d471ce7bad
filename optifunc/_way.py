"""How far the parameters are from where they began, told exactly."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from ._leafwise import elementwise
from ._rounding import lost_in_sum
from ._tree import PyTree, check_shapes


@elementwise()
def way_back(compensation: Array, p0: Array, params: Array) -> Array:
    """The way from ``params`` to ``p0``, in the dtype of ``compensation``.

    In float32 the parameters feel updates of a millionth of their size in their last
    digits, if at all. What is lost of them would be missing most where the way is still
    short, and there the estimates of a step size begin.
    """
    return p0 - params - compensation


def compensated(compensation: PyTree, params: PyTree, updates: PyTree) -> PyTree:
    """``compensation`` and what ``updates`` lose when ``params`` take them."""
    check_shapes(updates, params, ("updates", "params"))
    lost = jax.tree.map(lost_in_sum, params, updates)
    return jax.tree.map(jnp.add, compensation, lost)
