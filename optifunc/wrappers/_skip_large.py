"""Updates that are skipped because they are large, or larger than before."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_integer, check_known_range, check_loss
from .._collectives import AxisName, check_axis_name
from .._dataclass import child, static
from .._hyperparameters import Value
from .._numerics import as_scalar, increment, sqrt
from .._state import Shared
from .._transformation import GradientTransformation, State, transformation
from .._tree import PyTree, global_norm
from ._conditionally import update_or_skip
from ._wrapper import Wrapper


class SkipLargeState(NamedTuple):
    """State of `skip_large_updates`.

    **Fields:**

    - ``skipped``: int32 [], updates skipped so far.
    - ``norm``: float [], the norm of the last gradients.
    - ``inner``: the inner transformation's state.
    """

    skipped: Shared
    norm: Shared
    inner: State


@transformation
class skip_large_updates(Wrapper):
    """Skip an update if the norm of all gradients is too large or not finite.

    ``u, inner = inner.update(g)`` if ``global_norm(g) < max_norm``, else ``u = 0`` and
    the inner state does not change. `clip_by_global_norm` scales down such gradients;
    `skip_outliers` finds the bound itself.

    **Arguments:**

    - ``inner``: a transformation.
    - ``max_norm``: the norm from which updates are skipped, at least 0; infinite: only
      those that are not finite. (optax takes its square, ``max_squared_norm``.)
    - ``axis_name``: the axis of the mesh over which leaves are split, inside
      `jax.shard_map`; see `global_norm`. Without it, each device decides based on the
      norm of its part, so they may decide differently.

    **State:** `SkipLargeState`.

    **Raises:** `ValueError` if ``max_norm`` is negative or NaN, `TypeError` if
    ``axis_name`` is not a name.
    """

    inner: GradientTransformation = child()
    max_norm: Value
    axis_name: AxisName = static(default=None)

    def __post_init__(self) -> None:
        check_known_range("max_norm", self.max_norm, at_least=0)
        check_axis_name(self.axis_name)
        super().__post_init__()

    def init(self, params: PyTree) -> SkipLargeState:
        norm = jnp.zeros((), jnp.result_type(float))
        return SkipLargeState(jnp.zeros((), jnp.int32), norm, self.inner.init(params))

    def update(
        self,
        updates: PyTree,
        state: SkipLargeState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, SkipLargeState]:
        norm = global_norm(updates, self.axis_name)
        applied = norm < as_scalar(self.max_norm)  # false for NaN
        updates, inner = update_or_skip(
            applied,
            self.inner,
            state.inner,
            updates,
            params,
            extra,
        )
        skipped = jnp.where(applied, state.skipped, increment(state.skipped))
        return updates, SkipLargeState(skipped, norm, inner)


class SkipOutliersState(NamedTuple):
    """State of `skip_outliers`.

    **Fields:**

    - ``skipped``: int32 [], updates skipped so far.
    - ``norms``, ``losses``: float32 [window], the last finite ones, in a ring buffer.
    - ``norm_count``, ``loss_count``: int32 [], how many were stored in them so far.
    - ``inner``: the inner transformation's state.
    """

    skipped: Shared
    norms: Shared
    losses: Shared
    norm_count: Shared
    loss_count: Shared
    inner: State


@transformation
class skip_outliers(Wrapper):
    """Skip an update whose loss or gradient norm is far above previous ones.

    ::

        skip if  x > mean + sigma * max(std, 1e-6)  or x is not finite

    where ``x`` is the global norm of the gradients and, if the update gets ``value``,
    the loss. Mean and (population) standard deviation are those of the previous
    ``window`` values, once there are at least half as many. A skipped update is 0 and
    does not change the inner state, but its values are stored, so that a lasting change
    of level is accepted. Values that are not finite are not stored.

    **Arguments:**

    - ``inner``: a transformation.
    - ``window``: the number of values to compare with, an integer of at least 2.
    - ``sigma``: the number of standard deviations above the mean that counts as an
      outlier, above 0.
    - ``axis_name``: the axis of the mesh over which leaves are split, inside
      `jax.shard_map`; see `global_norm`. Without it, each device decides based on the
      norm of its part, so they may decide differently. ``value`` must be the same on
      all devices.

    **Extra arguments:** ``value``, the loss of this update: without it, only gradient
    norms are compared.

    **State:** `SkipOutliersState`.

    **Raises:** `TypeError` or `ValueError` for numbers out of range, and `ValueError`
    at `update` if ``value`` is not a scalar.

    **Source:** the skip-step optimizers of OLMo 2: Team OLMo, "2 OLMo 2 Furious",
    2024, [arXiv:2501.00656](https://arxiv.org/abs/2501.00656), and
    [OLMo-core](https://github.com/allenai/OLMo-core), which stores NaN too.
    """

    inner: GradientTransformation = child()
    window: int = static(default=128)
    sigma: Value = 6.0
    axis_name: AxisName = static(default=None)

    def __post_init__(self) -> None:
        check_integer("window", self.window, at_least=2)
        check_known_range("sigma", self.sigma, above=0)
        check_axis_name(self.axis_name)
        super().__post_init__()

    def init(self, params: PyTree) -> SkipOutliersState:
        # Each field has its own buffer, so that the state can be donated.
        return SkipOutliersState(
            skipped=jnp.zeros((), jnp.int32),
            norms=jnp.zeros(self.window, jnp.float32),
            losses=jnp.zeros(self.window, jnp.float32),
            norm_count=jnp.zeros((), jnp.int32),
            loss_count=jnp.zeros((), jnp.int32),
            inner=self.inner.init(params),
        )

    def update(
        self,
        updates: PyTree,
        state: SkipOutliersState,
        params: PyTree | None = None,
        *,
        value: Any = None,
        **extra: Any,
    ) -> tuple[PyTree, SkipOutliersState]:
        norm = global_norm(updates, self.axis_name).astype(jnp.float32)
        applied = ~_is_outlier(norm, state.norms, state.norm_count, self.sigma)
        norms, norm_count = _with_stored(norm, state.norms, state.norm_count)
        losses, loss_count = state.losses, state.loss_count
        if value is not None:
            check_loss(value)
            extra["value"] = value
            loss = lax.convert_element_type(value, jnp.float32)
            applied &= ~_is_outlier(loss, losses, loss_count, self.sigma)
            losses, loss_count = _with_stored(loss, losses, loss_count)
        updates, inner = update_or_skip(
            applied,
            self.inner,
            state.inner,
            updates,
            params,
            extra,
        )
        skipped = jnp.where(applied, state.skipped, increment(state.skipped))
        return updates, SkipOutliersState(
            skipped, norms, losses, norm_count, loss_count, inner
        )


def _is_outlier(x: Array, ring: Array, count: Array, sigma: Any) -> Array:
    """Whether ``x`` is far above the stored values, or not finite."""
    size = ring.shape[0]
    stored = jnp.minimum(count, size)
    is_stored = jnp.arange(size, dtype=jnp.int32) < stored
    divisor = lax.convert_element_type(jnp.maximum(stored, 1), jnp.float32)
    mean = jnp.sum(ring, where=is_stored) / divisor
    variance = jnp.sum((ring - mean) ** 2, where=is_stored) / divisor
    reach = lax.convert_element_type(sigma, jnp.float32)
    bound = mean + reach * jnp.maximum(sqrt(variance), 1e-6)
    is_far = (stored >= max(2, size // 2)) & (x > bound)
    return is_far | ~jnp.isfinite(x)


def _with_stored(x: Array, ring: Array, count: Array) -> tuple[Array, Array]:
    """The ring with ``x`` in place of the oldest value, if ``x`` is finite."""
    is_finite = jnp.isfinite(x)
    place = count % ring.shape[0]
    ring = ring.at[place].set(jnp.where(is_finite, x, ring[place]))
    return ring, jnp.where(is_finite, increment(count), count)
