"""Clipping: by element, by the norm of all gradients, by block, by parameter norm."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_known_range, check_range
from .._collectives import (
    AxisName,
    check_axis_name,
    mean_over_devices,
    sum_over_devices,
)
from .._dataclass import static
from .._hyperparameters import Value
from .._leafwise import elementwise, leafwise
from .._numerics import as_scalar, sqrt
from .._transformation import Stateless, require_params, transformation
from .._tree import PyTree, global_norm
from ._scaling import _scaled


@elementwise(inline=True)
def _clipped(updates: Array, *, max_value: Array) -> Array:
    return lax.clamp(-max_value, updates, max_value)


@transformation
class clip(Stateless):
    """Clip each element: ``u = min(max(g, -max_value), max_value)``.

    This is `torch.nn.utils.clip_grad_value_`. The real and imaginary parts of a complex
    element are clipped separately. It also works for sparse leaves.

    **Arguments:**

    - ``max_value``: the largest absolute value, at least 0.

    **State:** ``()``.

    **Raises:** `ValueError` if ``max_value`` is negative or NaN.
    """

    max_value: Value

    def __post_init__(self) -> None:
        check_known_range("max_value", self.max_value, at_least=0)

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        return _clipped(updates, max_value=self.max_value)


@transformation
class clip_by_global_norm(Stateless):
    """Scale down the updates to ``max_norm`` if their global norm is larger.

    ::

        u = g * min(1, max_norm / (norm(g) + eps)),    norm(g) = global_norm(g)

    This is `torch.nn.utils.clip_grad_norm_`. optax has ``eps=0``; the two differ by the
    fraction ``1e-6 / norm(g)`` of an update, which matters only for a ``max_norm`` near
    1e-6. The derivative at ``g = 0`` is that of the identity. The norm is accumulated
    in at least float32; sparse leaves count their elements.

    If the norm is not finite, the updates are those of torch. An infinite norm makes
    finite elements 0 and infinite ones NaN (``0 * inf``); the norm is also infinite if
    the sum of squares overflows, and then all updates are 0. A NaN norm makes all
    updates NaN, and so does an infinite norm if ``max_norm`` is infinite. To skip such
    updates, put `skip_not_finite` around the whole chain.

    **Arguments:**

    - ``max_norm``: the largest norm, at least 0; infinite: no clipping.
    - ``eps``: added to the norm, at least 0.
    - ``axis_name``: the axis of the mesh over which leaves are split, inside
      `jax.shard_map`; see `global_norm`. Without it, each device uses the norm of its
      part.

    **State:** ``()``.

    **Raises:** `ValueError` if ``max_norm`` is negative or NaN.

    **Source:** Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent
    neural networks", 2013, [arXiv:1211.5063](https://arxiv.org/abs/1211.5063).
    """

    max_norm: Value
    eps: float = static(default=1e-6)
    axis_name: AxisName = static(default=None)

    def __post_init__(self) -> None:
        check_known_range("max_norm", self.max_norm, at_least=0)
        check_range("eps", self.eps, at_least=0)
        check_axis_name(self.axis_name)

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        norm = global_norm(updates, self.axis_name) + self.eps
        is_zero = norm == 0
        ratio = as_scalar(self.max_norm) / jnp.where(is_zero, 1, norm)
        return _scaled(updates, factor=jnp.where(is_zero, 1, jnp.minimum(ratio, 1)))


def _squared(leaf: Array) -> Array:
    """Squared magnitudes; `abs` of a complex zero has no derivative."""
    if jnp.iscomplexobj(leaf):
        return leaf.real * leaf.real + leaf.imag * leaf.imag
    return leaf * leaf


@leafwise(static=("axis_name",))
def _clipped_by_rms(updates: Array, *, threshold: Array, axis_name: AxisName) -> Array:
    mean_square = jnp.sum(_squared(updates)) / max(updates.size, 1)
    mean_square = mean_over_devices(mean_square, axis_name)
    excess = jnp.maximum(sqrt(mean_square) / threshold, 1)
    return updates / excess.astype(updates.dtype)


@transformation
class clip_by_block_rms(Stateless):
    """Bound the root mean square of each leaf: ``u = g / max(1, rms(g) / threshold)``.

    The mean is over all elements of a leaf, accumulated in at least float32.

    **Arguments:**

    - ``threshold``: the largest root mean square, above 0.
    - ``axis_name``: the axis of the mesh over which leaves are split, inside
      `jax.shard_map`; see `global_norm`. Without it, each device uses the mean of its
      part.

    **State:** ``()``.

    **Raises:** `ValueError` if ``threshold`` is not positive, and `TypeError` at
    `update` for a sparse leaf.

    **Source:** the "update clipping" of Shazeer and Stern, "Adafactor: adaptive
    learning rates with sublinear memory cost", 2018,
    [arXiv:1804.04235](https://arxiv.org/abs/1804.04235).
    """

    threshold: Value
    axis_name: AxisName = static(default=None)

    def __post_init__(self) -> None:
        check_known_range("threshold", self.threshold, above=0)
        check_axis_name(self.axis_name)

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        return _clipped_by_rms(
            updates, threshold=self.threshold, axis_name=self.axis_name
        )


def _unit_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of one unit's weights, in JAX's kernel layouts."""
    if sum(size != 1 for size in shape) <= 1:
        return tuple(range(len(shape)))
    if len(shape) <= 3:
        return (0,)
    if len(shape) <= 5:
        return tuple(range(len(shape) - 1))
    raise ValueError(
        f"adaptive_grad_clip knows no units for a leaf of shape {shape}: it has more "
        "than 5 axes; pass axis"
    )


@leafwise(static=("axis", "axis_name"))
def _clipped_by_unit(
    updates: Array,
    params: Array,
    *,
    clipping: Array,
    eps: Array,
    axis: int | tuple[int, ...] | None,
    axis_name: AxisName,
) -> Array:
    axes = _unit_axes(updates.shape) if axis is None else axis

    def norm(leaf: Array) -> Array:
        squares = jnp.sum(_squared(leaf), axis=axes, keepdims=True)
        return sqrt(sum_over_devices(squares, axis_name))

    norms = norm(updates)
    max_norms = clipping * jnp.maximum(norm(params), eps)
    factor = jnp.where(norms < max_norms, 1, max_norms / jnp.maximum(norms, 1e-6))
    return updates * jnp.broadcast_to(factor, updates.shape).astype(updates.dtype)


@transformation
class adaptive_grad_clip(Stateless):
    """Bound each unit's gradient by a fraction of the norm of the unit's weights.

    ::

        m = clipping * max(norm(p), eps)
        u = g                  where norm(g) < m
            g * m / norm(g)    elsewhere

    with the norms of single units. A unit is a whole scalar or vector (even with
    additional axes of length 1); a column of a matrix, or the elements along axis 0 of
    an array with 3 axes; or all weights of an output channel in a kernel with 4 or 5
    axes, where channels are the last axis.

    **Arguments:**

    - ``clipping``: the largest ratio of the two norms, above 0.
    - ``eps``: a lower bound on the norm of a unit's weights, above 0, so that weights
      that start at 0 can move.
    - ``axis``: the axis or axes over which norms are taken, for layouts other than
      those above (torch has the output first).
    - ``axis_name``: the axis of the mesh over which units are split, inside
      `jax.shard_map`, along the axes of a leaf over which norms are taken. Without it,
      each device uses the norms of its part.

    **State:** ``()``.

    **Raises:** `ValueError` if ``clipping`` or ``eps`` is not positive; at `update` if
    ``params`` is missing, or for a leaf with more than 5 axes without ``axis``.

    **Source:** Brock, De, Smith and Simonyan, "High-performance large-scale image
    recognition without normalization", 2021,
    [arXiv:2102.06171](https://arxiv.org/abs/2102.06171).
    """

    clipping: Value
    eps: Value = 1e-3
    axis: int | tuple[int, ...] | None = static(default=None)
    axis_name: AxisName = static(default=None)

    def __post_init__(self) -> None:
        check_axis_name(self.axis_name)
        check_known_range("clipping", self.clipping, above=0)
        check_known_range("eps", self.eps, above=0)

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        params = require_params(params, updates, "adaptive_grad_clip")
        updates = _clipped_by_unit(
            updates,
            params,
            clipping=self.clipping,
            eps=self.eps,
            axis=self.axis,
            axis_name=self.axis_name,
        )
        return updates
