"""Slow components of the gradients, amplified."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_choice, check_integer, check_range
from .._dataclass import static
from .._hyperparameters import Value
from .._leafwise import elementwise, leafwise
from .._numerics import as_scalar, first_moment, increment
from .._placement import zeros_like, zeros_like_result
from .._state import Keeps, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree


class GrokfastEmaState(NamedTuple):
    """State of `grokfast_ema`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``average``: the average of each parameter's gradients, which starts as the first
      one.
    """

    step: Shared
    average: Annotated[PerParameter, Keeps("alpha")]


@elementwise(outputs=2)
def _with_average(
    updates: Array, average: Array, *, weight: Array, lamb: Array
) -> tuple[Array, Array]:
    average = first_moment(average, updates, weight)
    return updates + lamb * average, average


@transformation
class grokfast_ema(GradientTransformation):
    """Add a multiple of their exponential average to the gradients.

    ::

        h_1 = g_1,  h_t = alpha * h_{t-1} + (1 - alpha) * g_t
        u = g + lamb * h

    According to the authors, what a model learns late, after it has memorized its data,
    is in the slowly changing part of the gradients. Put it before an optimizer::

        of.chain(of.grokfast_ema(), of.adamw(1e-3, weight_decay=1.0))

    **Arguments:**

    - ``alpha``: the weight of the old average, in [0, 1).
    - ``lamb``: the factor of the average.

    **State:** `GrokfastEmaState`, in the parameters' shapes and dtypes.

    **Raises:** `ValueError` for a number out of range; `TypeError` for a sparse leaf.

    **Source:** Lee, Kang, Kim and Lee, "Grokfast: Accelerated Grokking by Amplifying
    Slow Gradients", 2024, [arXiv:2405.20233](https://arxiv.org/abs/2405.20233).
    """

    alpha: Value = 0.98
    lamb: Value = 2.0

    def __post_init__(self) -> None:
        check_range("alpha", self.alpha, at_least=0, below=1)
        check_range("lamb", self.lamb)

    def init(self, params: PyTree) -> GrokfastEmaState:
        return GrokfastEmaState(jnp.zeros((), jnp.int32), zeros_like(params))

    def update(
        self,
        updates: PyTree,
        state: GrokfastEmaState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, GrokfastEmaState]:
        updates, average = _with_average(
            updates,
            state.average,
            weight=jnp.where(state.step == 0, 1, as_scalar(1 - self.alpha)),
            lamb=self.lamb,
        )
        return updates, GrokfastEmaState(increment(state.step), average)


class GrokfastMaState(NamedTuple):
    """State of `grokfast_ma`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``window``: for each parameter, an array whose first axis has the last
      ``window_size`` gradients, the newest at ``(step - 1) % window_size``.
    """

    step: Shared
    window: PerParameter


@leafwise(outputs=2)
def _with_window(
    updates: Array, window: Array, *, place: Array, factor: Array
) -> tuple[Array, Array]:
    if window.shape[1:] != updates.shape:
        raise ValueError(
            f"updates must have the shape of the parameters, {window.shape[1:]}, found "
            f"{updates.shape}"
        )
    place = lax.convert_element_type(place, jnp.int32)
    window = lax.dynamic_update_index_in_dim(window, updates, place, 0)
    return updates + factor.astype(updates.dtype) * jnp.sum(window, 0), window


@transformation
class grokfast_ma(GradientTransformation):
    """Add a multiple of the mean of recent gradients to the gradients.

    ::

        u_t = g_t + lamb * mean(g_t, ..., g_{t - window_size + 1})

    and ``u = g`` while there are fewer. It keeps ``window_size`` copies of the
    gradients; `grokfast_ema` keeps one.

    **Arguments:**

    - ``window_size``: the number of gradients to keep.
    - ``lamb``: the factor of the mean.
    - ``filter_type``: ``"mean"`` or ``"sum"``.
    - ``warmup``: wait until the window is full; False: use the available gradients.

    **State:** `GrokfastMaState`, in the parameters' dtypes.

    **Raises:** `ValueError` or `TypeError` for a ``window_size`` that is not an integer
    of at least 1, an unknown ``filter_type`` and sparse gradients.

    **Source:** Lee, Kang, Kim and Lee, "Grokfast: Accelerated Grokking by Amplifying
    Slow Gradients", 2024, [arXiv:2405.20233](https://arxiv.org/abs/2405.20233).
    """

    window_size: int = static(default=100)
    lamb: Value = 5.0
    filter_type: str = static(default="mean")
    warmup: bool = static(default=True)

    def __post_init__(self) -> None:
        check_integer("window_size", self.window_size, at_least=1)
        check_range("lamb", self.lamb)
        check_choice("filter_type", self.filter_type, ("mean", "sum"))

    def init(self, params: PyTree) -> GrokfastMaState:
        def repeated(leaf: Any) -> Array:
            return jnp.broadcast_to(leaf, (self.window_size, *jnp.shape(leaf)))

        window = jax.tree.map(partial(zeros_like_result, repeated), params)
        return GrokfastMaState(jnp.zeros((), jnp.int32), window)

    def update(
        self,
        updates: PyTree,
        state: GrokfastMaState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, GrokfastMaState]:
        step = increment(state.step)
        count = jnp.minimum(step, self.window_size)
        factor = as_scalar(self.lamb)
        if self.filter_type == "mean":
            factor = factor / as_scalar(count)
        if self.warmup:
            factor = jnp.where(count < self.window_size, 0, factor)
        updates, window = _with_window(
            updates,
            state.window,
            place=state.step % self.window_size,
            factor=factor,
        )
        return updates, GrokfastMaState(step, window)
