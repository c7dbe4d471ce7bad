"""Sharpness-aware minimization that computes its second gradient only occasionally."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_integer, check_range
from .._dataclass import child, static
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._numerics import increment, sqrt
from .._placement import zeros_like
from .._state import PerParameter, Shared
from .._transformation import (
    GradientTransformation,
    State,
    apply_updates,
    require_params,
    transformation,
)
from .._tree import PyTree
from ._sam import perturbation
from ._wrapper import Wrapper


class LookSamState(NamedTuple):
    """State of `look_sam`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``gv``: for each parameter, the part of the last second gradient that is
      orthogonal to the first.
    - ``inner``: the inner transformation's state.
    """

    step: Shared
    gv: PerParameter
    inner: State


# A complex leaf is a pair of real ones with a common norm.
@elementwise()
def _orthogonal_part(second: Array, first: Array) -> Array:
    if first.size < 2:
        # A single number has no other direction, but rounding could look like one.
        return jnp.zeros_like(second)
    square = jnp.sum(first * first)
    share = jnp.sum(second * first) / jnp.where(square > 0, square, 1)
    return second - share * first


@elementwise()
def _with_part(updates: Array, gv: Array, *, alpha: Array) -> Array:
    size = sqrt(jnp.sum(updates * updates)) / (sqrt(jnp.sum(gv * gv)) + 1e-8)
    return updates + alpha * size * gv


@transformation
class look_sam(Wrapper):
    """`sam` with a second gradient only at every ``sync_period``-th update.

    ::

        q = grad_fn(p + e),  h = q - <q, g> / <g, g> * g      (the first and every
        u = inner(q)                                          sync_period-th update)

        u = inner(g + alpha * ||g|| / (||h|| + 1e-8) * h)     (the others)

    with ``e`` from `sam`. ``h`` is SAM's change of the gradient. It varies slowly, so
    the updates in between use the last one and cost no more than those of ``inner``.
    Norms and products are those of a leaf::

        tx = of.look_sam(of.sgd(0.1, 0.9), rho=0.1)

        def grad_fn(params, i):
            return jax.grad(loss)(params, batch)

        updates, state = tx.update(grad_fn(params, 0), state, params, grad_fn=grad_fn)

    **Arguments:**

    - ``inner``: a transformation: an optimizer.
    - ``rho``: how far away the second gradient is taken, at least 0.
    - ``sync_period``: the number of updates from one second gradient to the next.
    - ``alpha``: the weight of ``h`` in the updates in between, at least 0.
    - ``adaptive``: see `sam`.

    **Extra arguments:** ``grad_fn``: as in `sam`, called with the number 0.

    **State:** `LookSamState`, ``gv`` in the parameters' shapes and dtypes.

    **Raises:** `ValueError` for a number out of range; `TypeError` or `ValueError` if
    ``sync_period`` is not an integer of at least 1. At `update`, `TypeError` if
    ``grad_fn`` is missing, and `ValueError` if ``params`` is.

    **Source:** Liu et al., "Towards Efficient and Scalable Sharpness-Aware
    Minimization", 2022, [arXiv:2203.02714](https://arxiv.org/abs/2203.02714).
    """

    inner: GradientTransformation = child()
    rho: Value = 0.1
    sync_period: int = static(default=10)
    alpha: Value = 0.7
    adaptive: bool = static(default=False)

    def __post_init__(self) -> None:
        check_range("rho", self.rho, at_least=0)
        check_range("alpha", self.alpha, at_least=0)
        check_integer("sync_period", self.sync_period, at_least=1)
        super().__post_init__()

    def init(self, params: PyTree) -> LookSamState:
        return LookSamState(
            step=jnp.zeros((), jnp.int32),
            gv=zeros_like(params),
            inner=self.inner.init(params),
        )

    def update(  # type: ignore[override]  # what it needs is required
        self,
        updates: PyTree,
        state: LookSamState,
        params: PyTree | None = None,
        *,
        grad_fn: Callable[[PyTree, int], PyTree],
        **extra: Any,
    ) -> tuple[PyTree, LookSamState]:
        params = require_params(params, updates, "look_sam")

        def looked() -> tuple[PyTree, PyTree]:
            way = perturbation(updates, params, self.rho, self.adaptive)
            second = grad_fn(apply_updates(params, way), 0)
            return second, _stored_like(state.gv, _orthogonal_part(second, updates))

        def followed() -> tuple[PyTree, PyTree]:
            return _with_part(updates, state.gv, alpha=self.alpha), state.gv

        is_due = state.step % self.sync_period == 0
        grads, gv = lax.cond(is_due, looked, followed)
        updates, inner = self.inner.update(grads, state.inner, params, **extra)
        return updates, LookSamState(increment(state.step), gv, inner)


@elementwise(inline=True)
def _stored_like(before: Array, part: Array) -> Array:
    return part
