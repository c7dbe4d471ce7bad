"""Updates of a known length, and updates in proportion to the parameters."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._collectives import (
    AxisName,
    check_axis_name,
    mean_over_devices,
    sum_over_devices,
)
from .._dataclass import static
from .._hyperparameters import Value
from .._leafwise import leafwise
from .._numerics import as_scalar, sqrt
from .._transformation import Stateless, require_params, transformation
from .._tree import PyTree, check_shapes, global_norm, squared_norm
from ._scaling import _scaled


@transformation
class normalize_by_update_norm(Stateless):
    """Scale the updates to a given global norm.

    ::

        u = scale_factor * g / (norm(g) + eps),    norm(g) = global_norm(g)

    Updates of 0 stay 0, even with ``eps=0``. For a separate norm per leaf, use
    `scale_by_trust_ratio` or `clip_by_block_rms`.

    **Arguments:**

    - ``scale_factor``: the norm, at least 0.
    - ``eps``: added to the norm, at least 0.
    - ``axis_name``: the axis of the mesh over which leaves are split, inside
      `jax.shard_map`; see `global_norm`. Without it, each device uses the norm of its
      part.

    **State:** ``()``.

    **Raises:** `ValueError` if a number is negative, `TypeError` if ``axis_name`` is
    not a name.

    **Source:** the normalized gradient of Hazan, Levy and Shalev-Shwartz, "Beyond
    convexity: stochastic quasi-convex optimization", 2015,
    [arXiv:1507.02030](https://arxiv.org/abs/1507.02030).
    """

    scale_factor: Value = 1.0
    eps: Value = 1e-6
    axis_name: AxisName = static(default=None)

    def __post_init__(self) -> None:
        check_range("scale_factor", self.scale_factor, at_least=0)
        check_range("eps", self.eps, at_least=0)
        check_axis_name(self.axis_name)

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        norm = global_norm(updates, self.axis_name) + as_scalar(self.eps)
        factor = as_scalar(self.scale_factor) / jnp.where(norm == 0, 1, norm)
        return _scaled(updates, factor=factor)


@leafwise(static=("is_rms", "axis_name"))
def _scaled_by_block(
    updates: Array,
    params: Array,
    *,
    min_scale: Array,
    is_rms: bool,
    axis_name: AxisName,
) -> Array:
    square = squared_norm(params)
    if is_rms:
        square = mean_over_devices(square / max(params.size, 1), axis_name)
    else:
        square = sum_over_devices(square, axis_name)
    size = sqrt(square)
    return updates * jnp.maximum(size, min_scale).astype(updates.dtype)


def _by_block(
    tx: scale_by_param_block_norm | scale_by_param_block_rms,
    updates: PyTree,
    params: PyTree | None,
) -> PyTree:
    params = require_params(params, updates, type(tx).__name__)
    check_shapes(updates, params, ("updates", "params"))
    return _scaled_by_block(
        updates,
        params,
        min_scale=tx.min_scale,
        is_rms=isinstance(tx, scale_by_param_block_rms),
        axis_name=tx.axis_name,
    )


@transformation
class scale_by_param_block_norm(Stateless):
    """Multiply each leaf's update by its parameter's norm.

    ::

        u = max(norm(p), min_scale) * g

    The norm is the Euclidean norm of a whole leaf, accumulated in at least float32.

    **Arguments:**

    - ``min_scale``: a lower bound on the norm, at least 0, so that parameters that
      start at 0 can move.
    - ``axis_name``: the axis of the mesh over which leaves are split, inside
      `jax.shard_map`; see `global_norm`. Without it, each device uses the norm of its
      part.

    **State:** ``()``.

    **Raises:** `ValueError` if ``min_scale`` is negative, and at `update` if ``params``
    is missing; `TypeError` for a sparse leaf and an ``axis_name`` that is not a name.

    **Source:** optax's transformation of the same name.
    """

    min_scale: Value = 1e-3
    axis_name: AxisName = static(default=None)

    def __post_init__(self) -> None:
        check_range("min_scale", self.min_scale, at_least=0)
        check_axis_name(self.axis_name)

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        return _by_block(self, updates, params)


@transformation
class scale_by_param_block_rms(Stateless):
    """Multiply each leaf's update by its parameter's root mean square.

    ::

        u = max(rms(p), min_scale) * g

    The mean is over a whole leaf, accumulated in at least float32.

    **Arguments:**

    - ``min_scale``: a lower bound on the root mean square, at least 0, so that
      parameters that start at 0 can move.
    - ``axis_name``: the axis of the mesh over which leaves are split, inside
      `jax.shard_map`; see `global_norm`. Without it, each device uses the mean of its
      part.

    **State:** ``()``.

    **Raises:** `ValueError` if ``min_scale`` is negative, and at `update` if ``params``
    is missing; `TypeError` for a sparse leaf and an ``axis_name`` that is not a name.

    **Source:** the relative step size of Shazeer and Stern, "Adafactor: adaptive
    learning rates with sublinear memory cost", 2018,
    [arXiv:1804.04235](https://arxiv.org/abs/1804.04235).
    """

    min_scale: Value = 1e-3
    axis_name: AxisName = static(default=None)

    def __post_init__(self) -> None:
        check_range("min_scale", self.min_scale, at_least=0)
        check_axis_name(self.axis_name)

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        return _by_block(self, updates, params)
