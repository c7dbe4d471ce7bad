"""A loss that is scaled so that gradients of float16 neither vanish nor overflow."""

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

    - ``scale``: float32 [], what the next loss is multiplied by.
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

        g is finite:      u, inner = inner.update(float32(g) / scale, inner)
                          growth_interval times in a row: scale *= growth_factor
        g is not finite:  u = 0, inner stays
                          scale *= backoff_factor

    float16 ends at 65504, and below 6e-8 there is only 0: gradients of a network vanish
    in it. Those of the loss times a large number do not. `scale_loss` reads that number
    from the state::

        tx = of.dynamic_loss_scale(of.master_weights(of.adamw(1e-3)))

        def scaled_loss(params, state, batch):
            loss = loss_fn(params, batch)
            return of.scale_loss(loss, state), loss

        grads, loss = jax.grad(scaled_loss, has_aux=True)(params, state, batch)
        updates, state = tx.update(grads, state, params)

    The stateful optimizers scale the loss by themselves: ``backward`` and
    ``compile_step`` of ``of.optim.AdamW(params).wrap(of.dynamic_loss_scale)`` take the
    loss as it is.

    What is divided is kept in float32, and the inner transformation sees that: what
    clips, and what keeps wide parameters (`master_weights`, `kahan`), belongs inside.
    ``state.skipped`` counts the steps that were left out; some at the start of a run
    are normal, as the first scale is meant to be too large. bfloat16 has the range of
    float32 and needs no scale.

    Extra arguments, such as ``value``, are passed on as they are, and are those of the
    loss that is not scaled.

    **Arguments:**

    - ``inner``: a transformation.
    - ``init_scale``: the first scale, above 0, which `init` reads.
    - ``growth_factor``: what the scale is multiplied by after ``growth_interval`` steps
      without a skipped one, above 1. A scale that would be infinite stays.
    - ``backoff_factor``: what it is multiplied by after a skipped step, in (0, 1).
    - ``growth_interval``: an integer of at least 1.
    - ``axis_name``: the axis of the mesh over which leaves are split, inside
      `jax.shard_map`; see `global_norm`. Without it, each device looks at its part, and
      their scales may differ.

    **State:** `DynamicLossScaleState`.

    **Raises:** `ValueError` for a number out of range; `TypeError` if
    ``growth_interval`` is not an integer or ``axis_name`` is no name.

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
    """Gradients divided by ``scale``, in float32 at least."""

    def divide(leaf: Any) -> Any:
        if is_sparse(leaf):
            return type(leaf)((divide(leaf.data), leaf.indices), shape=leaf.shape)
        # A quotient is right where the inverse of a large scale would be 0.
        return leaf / lax.convert_element_type(scale, leaf_dtype(leaf))

    return jax.tree.map(divide, widened(updates), is_leaf=is_sparse)


def scale_loss(loss: Any, state: State) -> Array:
    """The loss times the scale of `dynamic_loss_scale`, for its gradient to be taken.

    **Arguments:**

    - ``loss``: a number or an array; of float16 and bfloat16 the result is in float32.
    - ``state``: a state in which there is one `DynamicLossScaleState`, at any depth.

    **Returns:** ``loss * state.scale``. Compute a loss in float32: the gradient of one
    in float16 starts with the scale itself, which may be infinite in it.

    **Raises:** `KeyError` if the state holds none.
    """
    return times_scale(loss, find_in_state(state, DynamicLossScaleState).scale)


def times_scale(loss: Any, scale: Any) -> Array:
    """``loss * scale``, at least in float32."""
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
