"""A loss scale with which float16 gradients neither vanish nor overflow."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_range, check_whole
from .._collectives import AxisName, check_axis_name
from .._dataclass import child, static
from .._hyperparameters import Value
from .._numerics import increment
from .._rounding import widened
from .._state import Shared, find_all_in_state, find_in_state
from .._transformation import GradientTransformation, State, transformation
from .._tree import PyTree, compute_dtype, is_sparse, leaf_dtype
from ._conditionally import update_or_skip
from ._skip_not_finite import all_finite
from ._wrapper import Wrapper


class DynamicLossScaleState(NamedTuple):
    """State of `dynamic_loss_scale`.

    **Fields:**

    - ``scale``: float32 [], the factor of the next loss.
    - ``growth_tracker``: int32 [], steps since the scale last changed.
    - ``skipped``: int32 [], steps skipped so far.
    - ``inner``: the inner transformation's state.
    """

    scale: Shared
    growth_tracker: Shared
    skipped: Shared
    inner: State


@transformation
class dynamic_loss_scale(Wrapper):
    """Divide gradients of a scaled loss by its scale, which adapts to them.

    ::

        g is finite: u, inner = inner.update(float32(g) / scale, inner) growth_interval
                          times in a row: scale *= growth_factor g is not finite: u = 0,
                          inner unchanged scale *= backoff_factor

    The largest float16 number is 65504, and numbers below 6e-8 become 0, so a network's
    gradients can vanish. Those of the loss times a large number do not. `scale_loss`
    reads that number from the state::

        tx = of.dynamic_loss_scale(of.master_weights(of.adamw(1e-3)))

        def scaled_loss(params, state, batch):
            loss = loss_fn(params, batch)
            return of.scale_loss(loss, state), loss

        grads, loss = jax.grad(scaled_loss, has_aux=True)(params, state, batch)
        updates, state = tx.update(grads, state, params)

    The stateful optimizers scale the loss automatically: ``backward`` and
    ``compile_step`` of ``of.optim.AdamW(params).wrap(of.dynamic_loss_scale)`` take the
    unscaled loss.

    The inner transformation sees the divided gradients in float32. Clipping, and
    wrappers that keep wide parameters (`master_weights`, `kahan`), belong inside.
    ``state.skipped`` counts the skipped steps. A few at the start of a run are normal,
    because the first scale is meant to be too large. bfloat16 has the range of float32
    and needs no scale.

    Extra arguments, such as ``value``, are passed on unchanged, and are those of the
    unscaled loss.

    **Arguments:**

    - ``inner``: a transformation.
    - ``init_scale``: the first scale, above 0, which `init` reads.
    - ``growth_factor``: the factor of the scale after ``growth_interval`` steps without
      a skipped one, above 1. The scale does not grow to infinity.
    - ``backoff_factor``: its factor after a skipped step, in (0, 1).
    - ``growth_interval``: an integer of at least 1.
    - ``axis_name``: the axis of the mesh over which leaves are split, inside
      `jax.shard_map`; see `global_norm`. Without it, each device checks only its part,
      and their scales may differ.

    **State:** `DynamicLossScaleState`.

    **Raises:** `ValueError` for a number out of range; `TypeError` if
    ``growth_interval`` is not an integer or ``axis_name`` is not a name.

    **Source:** `torch.amp.GradScaler`; Micikevicius et al., "Mixed precision training",
    2018, [arXiv:1710.03740](https://arxiv.org/abs/1710.03740).
    """

    inner: GradientTransformation = child()
    init_scale: Value = 65536.0
    growth_factor: Value = 2.0
    backoff_factor: Value = 0.5
    growth_interval: Value = 2000
    axis_name: AxisName = static(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("init_scale", self.init_scale, above=0)
        check_range("growth_factor", self.growth_factor, above=1)
        check_range("backoff_factor", self.backoff_factor, above=0, below=1)
        check_whole("growth_interval", self.growth_interval, at_least=1)
        check_axis_name(self.axis_name)

    def init(self, params: PyTree) -> DynamicLossScaleState:
        return DynamicLossScaleState(
            scale=jnp.asarray(self.init_scale, jnp.float32),
            growth_tracker=jnp.zeros((), jnp.int32),
            skipped=jnp.zeros((), jnp.int32),
            inner=self.inner.init(params),
        )

    def update(
        self,
        updates: PyTree,
        state: DynamicLossScaleState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, DynamicLossScaleState]:
        finite = all_finite(updates, self.axis_name)
        updates, inner = update_or_skip(
            finite,
            self.inner,
            state.inner,
            _unscaled(updates, state.scale),
            params,
            extra,
        )
        scale, tracker = self._adapted(state, finite)
        skipped = jnp.where(finite, state.skipped, increment(state.skipped))
        return updates, DynamicLossScaleState(scale, tracker, skipped, inner)

    def _adapted(
        self, state: DynamicLossScaleState, finite: Array
    ) -> tuple[Array, Array]:
        """The next scale, and the steps since it changed."""
        tracker = jnp.where(finite, increment(state.growth_tracker), 0)
        is_due = tracker >= jnp.asarray(self.growth_interval, jnp.int32)
        larger = state.scale * jnp.asarray(self.growth_factor, jnp.float32)
        smaller = state.scale * jnp.asarray(self.backoff_factor, jnp.float32)
        grown = jnp.where(is_due & jnp.isfinite(larger), larger, state.scale)
        return jnp.where(finite, grown, smaller), jnp.where(is_due, 0, tracker)


def _unscaled(updates: PyTree, scale: Array) -> PyTree:
    """Gradients divided by ``scale``, in at least float32."""

    def divide(leaf: Any) -> Any:
        if is_sparse(leaf):
            return type(leaf)((divide(leaf.data), leaf.indices), shape=leaf.shape)
        # A division is right even if the inverse of a large scale would be 0.
        return leaf / lax.convert_element_type(scale, leaf_dtype(leaf))

    return jax.tree.map(divide, widened(updates), is_leaf=is_sparse)


def scale_loss(loss: Any, state: State) -> Array:
    """The loss times the scale of `dynamic_loss_scale`, to be differentiated.

    **Arguments:**

    - ``loss``: a number or an array; for float16 and bfloat16, the result is float32.
    - ``state``: a state that contains one `DynamicLossScaleState`, at any depth.

    **Returns:** ``loss * state.scale``. Compute the loss in float32: the gradient of a
    float16 loss starts with the scale itself, which may be infinite in float16.

    **Raises:** `KeyError` if the state contains none.
    """
    return times_scale(loss, find_in_state(state, DynamicLossScaleState).scale)


def times_scale(loss: Any, scale: Any) -> Array:
    """``loss * scale``, in at least float32."""
    loss = jnp.asarray(loss)
    dtype = compute_dtype(loss.dtype)
    product: Array = lax.convert_element_type(loss, dtype) * lax.convert_element_type(
        scale, dtype
    )
    return product


def scale_in(state: State) -> Array | None:
    """The scale of the one `DynamicLossScaleState` in a state; None without one.

    **Raises:** `KeyError` if there are several.
    """
    if not find_all_in_state(state, DynamicLossScaleState):
        return None
    found: DynamicLossScaleState = find_in_state(state, DynamicLossScaleState)
    return found.scale
