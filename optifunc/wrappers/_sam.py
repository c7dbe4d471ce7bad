"""Sharpness-aware minimization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_integer, check_range
from .._dataclass import child, static
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._numerics import as_scalar
from .._placement import copied
from .._state import PerParameter, Shared
from .._transformation import (
    GradientTransformation,
    State,
    apply_updates,
    require_params,
    transformation,
)
from .._tree import PyTree, global_norm, select, with_defaults
from ._conditionally import update_or_skip
from ._wrapper import Wrapper


@elementwise()
def _weighed(updates: Array, params: Array) -> Array:
    return updates * params


@elementwise(static=("adaptive",))
def _ascent(updates: Array, params: Array, *, size: Array, adaptive: bool) -> Array:
    return size * (updates * params * params if adaptive else updates)


def perturbation(updates: PyTree, params: PyTree, rho: Any, adaptive: bool) -> PyTree:
    """The displacement to the worst point nearby, to first order."""
    norm = global_norm(_weighed(updates, params) if adaptive else updates)
    # Without a gradient, there is no way up.
    size = as_scalar(rho) / (norm + as_scalar(1e-12))
    return _ascent(updates, params, size=size, adaptive=adaptive)


class SamState(NamedTuple):
    """State of `sam`.

    **Fields:**

    - ``inner``: the inner transformation's state.
    """

    inner: State


@transformation
class sam(Wrapper):
    """Update with the gradient at the worst nearby point, to find flat minima.

    ::

        e = rho * g / ||g||,  or adaptive  rho * p^2 * g / ||p * g||
        u = inner(grad_fn(p + e))

    The norm is over all parameters together. An update computes another gradient, with
    the same batch, by calling a function that you pass::

        tx = of.sam(of.sgd(0.1, 0.9), rho=0.05)

        def grad_fn(params, i):
            return jax.grad(loss)(params, batch)

        updates, state = tx.update(grad_fn(params, 0), state, params, grad_fn=grad_fn)

    If you cannot pass a function, `sam_in_turns` does the same in two updates.

    **Arguments:**

    - ``inner``: a transformation: an optimizer.
    - ``rho``: the distance of the point, at least 0. With ``adaptive``, ten times as
      much is usual.
    - ``adaptive``: whether the distance is relative to the size of each element (ASAM).
    - ``sync_period``: the number of gradients per step; with more than two, the ascent
      has several steps of length ``rho``.

    **Extra arguments:** ``grad_fn``: a function of the parameters and the number of the
    call, counted from 0, that returns a tree like ``updates``.

    **State:** `SamState`.

    **Raises:** `ValueError` for a ``rho`` out of range; `TypeError` or `ValueError` if
    ``sync_period`` is not an integer of at least 2. At `update`, `TypeError` if
    ``grad_fn`` is missing, and `ValueError` if ``params`` is.

    **Source:** Foret et al., "Sharpness-Aware Minimization for Efficiently Improving
    Generalization", 2021, [arXiv:2010.01412](https://arxiv.org/abs/2010.01412);
    adaptive: Kwon et al., 2021, [arXiv:2102.11600](https://arxiv.org/abs/2102.11600).
    """

    inner: GradientTransformation = child()
    rho: Value = 0.05
    adaptive: bool = static(default=False)
    sync_period: int = static(default=2)

    def __post_init__(self) -> None:
        check_range("rho", self.rho, at_least=0)
        check_integer("sync_period", self.sync_period, at_least=2)
        super().__post_init__()

    def init(self, params: PyTree) -> SamState:
        return SamState(self.inner.init(params))

    def update(  # type: ignore[override]  # what it needs is required
        self,
        updates: PyTree,
        state: SamState,
        params: PyTree | None = None,
        *,
        grad_fn: Callable[[PyTree, int], PyTree],
        **extra: Any,
    ) -> tuple[PyTree, SamState]:
        params = require_params(params, updates, "sam")
        point = params
        for i in range(self.sync_period - 1):
            way = perturbation(updates, point, self.rho, self.adaptive)
            point = apply_updates(point, way)
            updates = grad_fn(point, i)
        updates, inner = self.inner.update(updates, state.inner, params, **extra)
        return updates, SamState(inner)


class SamInTurnsState(NamedTuple):
    """State of `sam_in_turns`.

    **Fields:**

    - ``steps_since_sync``: int32 [], 1 while the parameters are at the worst point, and
      0 otherwise.
    - ``cache``: the parameters before they moved there.
    - ``inner``: the inner transformation's state.
    """

    steps_since_sync: Shared
    cache: PerParameter
    inner: State


@elementwise()
def _back(updates: Array, cache: Array, params: Array) -> Array:
    return cache - params + updates


@transformation
class sam_in_turns(Wrapper):
    """`sam` for an ordinary training loop: every other update goes to the worst point.

    ::

        u = e,  cache = p                                     at every first update
        u = cache - p + inner(g)                              at every second

    with ``e`` from `sam`. After a first update, the parameters that training holds are
    perturbed; the ones to evaluate are those before, see `eval_params`. Use the same
    batch for both updates. It must be the last member of a chain.

    **Arguments:**

    - ``inner``: a transformation: an optimizer.
    - ``rho``, ``adaptive``: see `sam`.

    **State:** `SamInTurnsState`, ``cache`` in the parameters' shapes and dtypes.

    **Raises:** `ValueError` for a ``rho`` out of range, and at `update` if ``params``
    is missing.
    """

    inner: GradientTransformation = child()
    rho: Value = 0.05
    adaptive: bool = static(default=False)

    def __post_init__(self) -> None:
        check_range("rho", self.rho, at_least=0)
        super().__post_init__()

    def init(self, params: PyTree) -> SamInTurnsState:
        return SamInTurnsState(
            steps_since_sync=jnp.zeros((), jnp.int32),
            cache=copied(params),
            inner=self.inner.init(params),
        )

    def evaluated(self, state: SamInTurnsState, params: PyTree) -> PyTree:
        before = select(state.steps_since_sync == 1, state.cache, params)
        return with_defaults(self.inner.evaluated(state.inner, before), before)

    def update(
        self,
        updates: PyTree,
        state: SamInTurnsState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, SamInTurnsState]:
        params = require_params(params, updates, "sam_in_turns")
        is_second = state.steps_since_sync == 1
        way = perturbation(updates, params, self.rho, self.adaptive)
        step, inner = update_or_skip(
            is_second,
            self.inner,
            state.inner,
            updates,
            state.cache,
            extra,
        )
        updates = select(is_second, _back(step, state.cache, params), way)
        cache = select(is_second, state.cache, params)
        return updates, SamInTurnsState(1 - state.steps_since_sync, cache, inner)
