"""Gradient centralization."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from .._checks import check_integer
from .._collectives import AxisName, check_axis_name, mean_over_devices
from .._dataclass import static
from .._leafwise import leafwise
from .._transformation import Stateless, transformation
from .._tree import PyTree


@leafwise(static=("output_axis", "axis_name"))
def _centralized(updates: Array, *, output_axis: int, axis_name: AxisName) -> Array:
    if updates.ndim < 2 or updates.size == 0:
        return updates
    if not -updates.ndim <= output_axis < updates.ndim:
        raise ValueError(
            f"output_axis is {output_axis}, which a leaf of shape {updates.shape} "
            "does not have"
        )
    axes = tuple(i for i in range(updates.ndim) if i != output_axis % updates.ndim)
    mean = jnp.mean(updates, axis=axes, keepdims=True)
    mean = mean_over_devices(mean, axis_name)
    return updates - jnp.broadcast_to(mean, updates.shape)


@transformation
class centralize(Stateless):
    """Subtract the mean from each output unit's gradient: ``u = g - mean(g)``.

    The mean is over all axes but ``output_axis``, in leaves with two or more axes;
    scalars and vectors do not change.

    **Arguments:**

    - ``output_axis``: the axis of a kernel's output units. It is the last in the
      kernels of JAX's libraries; use 0 for torch's layout.
    - ``axis_name``: the axis of the mesh over which the other axes of leaves are split,
      inside `jax.shard_map`. Without it, each device subtracts the mean of its part.

    **State:** ``()``.

    **Raises:** `TypeError` if ``output_axis`` is not an integer, and at `update` for a
    sparse leaf; `ValueError` at `update` for a matrix or kernel without that axis.

    **Source:** Yong, Huang, Hua and Zhang, "Gradient centralization: a new optimization
    technique for deep neural networks", 2020,
    [arXiv:2004.01461](https://arxiv.org/abs/2004.01461).
    """

    output_axis: int = static(default=-1)
    axis_name: AxisName = static(default=None)

    def __post_init__(self) -> None:
        check_axis_name(self.axis_name)
        check_integer("output_axis", self.output_axis, at_least=-32)

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        return _centralized(
            updates, output_axis=self.output_axis, axis_name=self.axis_name
        )
