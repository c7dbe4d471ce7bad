"""Trust ratios: updates in proportion to the parameters."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._collectives import AxisName, check_axis_name, sum_over_devices
from .._dataclass import static
from .._hyperparameters import Value
from .._leafwise import leafwise
from .._numerics import sqrt
from .._transformation import Stateless, require_params, transformation
from .._tree import PyTree, check_shapes, squared_norm


def trust_ratio(
    updates: Array,
    params: Array,
    min_norm: Array,
    coefficient: Array,
    eps: Array,
    axis_name: AxisName = None,
) -> Array:
    """The factor that scales an update to its parameter's size; 1 if either is 0."""

    def norm(leaf: Array) -> Array:
        square = sum_over_devices(squared_norm(leaf), axis_name)
        return jnp.maximum(sqrt(square), min_norm)

    param_norm, update_norm = norm(params), norm(updates)
    is_known = (param_norm > 0) & (update_norm > 0)
    divisor = jnp.where(is_known, update_norm + eps, 1)
    return jnp.where(is_known, coefficient * param_norm / divisor, 1)


@leafwise(static=("axis_name",))
def _trusted(
    updates: Array,
    params: Array,
    *,
    min_norm: Array,
    trust_coefficient: Array,
    eps: Array,
    axis_name: AxisName,
) -> Array:
    ratio = trust_ratio(updates, params, min_norm, trust_coefficient, eps, axis_name)
    return updates * ratio.astype(updates.dtype)


@transformation
class scale_by_trust_ratio(Stateless):
    """Scale the update of each leaf to the size of its parameter.

    ::

        a = max(norm(p), min_norm),  b = max(norm(g), min_norm)
        u = trust_coefficient * a / (b + eps) * g,  or  g  where a or b is 0

    The norms are Euclidean norms of whole leaves, accumulated in at least float32.
    `lamb` and `lars` are built with it. It is better to leave out biases and
    normalization scales::

        of.masked(of.scale_by_trust_ratio(), lambda path, leaf: leaf.ndim > 1)

    **Arguments:**

    - ``min_norm``: a lower bound on the norms, so that parameters that start at 0 move
      by no more than that.
    - ``trust_coefficient``: the ratio of an update's size to its parameter's.
    - ``eps``: added to the norm of the update.
    - ``axis_name``: the axis of the mesh over which leaves are split, inside
      `jax.shard_map`; see `global_norm`. Without it, each device uses the norms of its
      part.

    **State:** ``()``.

    **Complex parameters:** the norm counts the magnitudes of the elements.

    **Raises:** `ValueError` for a negative number, and at `update` if ``params`` is
    missing; `TypeError` for a sparse leaf and an ``axis_name`` that is not a name.

    **Source:** You, Gitman and Ginsburg, "Large Batch Training of Convolutional
    Networks", 2017, [arXiv:1708.03888](https://arxiv.org/abs/1708.03888).
    """

    min_norm: Value = 0.0
    trust_coefficient: Value = 1.0
    eps: Value = 0.0
    axis_name: AxisName = static(default=None)

    def __post_init__(self) -> None:
        check_range("min_norm", self.min_norm, at_least=0)
        check_range("trust_coefficient", self.trust_coefficient, at_least=0)
        check_range("eps", self.eps, at_least=0)
        check_axis_name(self.axis_name)

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        params = require_params(params, updates, "scale_by_trust_ratio")
        check_shapes(updates, params, ("updates", "params"))
        return _trusted(
            updates,
            params,
            min_norm=self.min_norm,
            trust_coefficient=self.trust_coefficient,
            eps=self.eps,
            axis_name=self.axis_name,
        )
