"""The exact distance of the parameters from where they started."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from ._leafwise import elementwise
from ._rounding import lost_in_sum
from ._tree import PyTree, check_shapes


@elementwise()
def way_back(compensation: Array, p0: Array, params: Array) -> Array:
    """The difference from ``params`` to ``p0``, in the dtype of ``compensation``.

    In float32, updates of a millionth of a parameter's size change only its last
    digits, if at all. The lost part matters most while the distance is still short,
    which is where the estimates of a step size begin.
    """
    return p0 - params - compensation


def compensated(compensation: PyTree, params: PyTree, updates: PyTree) -> PyTree:
    """``compensation`` plus what ``updates`` lose when added to ``params``."""
    check_shapes(updates, params, ("updates", "params"))
    lost = jax.tree.map(lost_in_sum, params, updates)
    return jax.tree.map(jnp.add, compensation, lost)
