"""Mechanic."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_integer, check_range
from .._dataclass import child, static
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._numerics import as_scalar, sqrt
from .._placement import copied, wide_zeros_like
from .._state import PerParameter, Restarting, Shared
from .._transformation import (
    GradientTransformation,
    State,
    require_params,
    transformation,
)
from .._tree import PyTree, global_norm, inner_product
from .._way import compensated, way_back
from ._wrapper import Wrapper


class MechanizeState(NamedTuple):
    """State of `mechanize`.

    **Fields:**

    - ``r``, ``m``, ``v``, ``s``: float [num_betas], for each memory the winnings, the
      largest product so far, the sum of their squares, and the scale.
    - ``p0``: the initial parameters.
    - ``compensation``: the accumulated rounding error of the updates so far.
    - ``inner``: the inner transformation's state.
    """

    r: Shared
    m: Shared
    v: Shared
    s: Shared
    p0: PerParameter
    compensation: Restarting
    inner: State


@elementwise()
def _decayed_gradient(updates: Array, params: Array, *, weight: Array) -> Array:
    return updates + weight * params


@elementwise()
def _scaled_way(updates: Array, way: Array, *, before: Array, after: Array) -> Array:
    """From the parameters to ``p0``, and from there along the new direction."""
    return way - after * (way / before - updates)


@transformation
class mechanize(Wrapper):
    """Find the learning rate of any optimizer by scaling its total displacement.

    ::

        D = (p0 - p) / (sum(s) + eps)
        g' = g + weight_decay * sum(s) * ||g|| / (||p|| + eps) * p
        h = <g', D>,  D = D - inner(g)
        r = b * r + clip(h, -m, m) * s
        m = max(b * m, |h| + eps),  v = b^2 * v + h^2
        s = (s_init / num_betas * m + max(r, 0)) / (sqrt(v) + eps)
        p = p0 - sum(s) * D

    for each memory ``b = 1 - 10^-1, 1 - 10^-2, ...`` at once, where ``p0`` are the
    initial parameters and each ``s`` starts as ``s_init``. Products and norms are over
    all parameters together. A schedule of the inner optimizer still applies; its
    learning rate only needs to have the usual order of magnitude::

        tx = of.mechanize(of.adamw(of.schedules.warmup_cosine(1e-3, 500, 10_000)))

    It must be the outermost transformation, because it sets the parameters directly.

    **Arguments:**

    - ``inner``: a transformation whose updates descend: an optimizer.
    - ``weight_decay``: how strongly the scale is reduced.
    - ``eps``: added to divisors.
    - ``s_init``: the initial value of each scale.
    - ``num_betas``: the number of memories.

    **State:** `MechanizeState`: two numbers per parameter in addition to the inner
    state.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params`` is
    missing.

    **Source:** Cutkosky, Defazio and Mehta, "Mechanic: A Learning Rate Tuner", 2023,
    [arXiv:2306.00144](https://arxiv.org/abs/2306.00144).
    """

    inner: GradientTransformation = child()
    weight_decay: Value = 1e-2
    eps: Value = 1e-8
    s_init: Value = 1e-6
    num_betas: int = static(default=6)

    def __post_init__(self) -> None:
        check_range("weight_decay", self.weight_decay, at_least=0)
        check_range("eps", self.eps, above=0)
        check_range("s_init", self.s_init, above=0)
        check_integer("num_betas", self.num_betas, at_least=1)
        super().__post_init__()

    def init(self, params: PyTree) -> MechanizeState:
        def zeros() -> Array:
            return jnp.zeros(self.num_betas, jnp.result_type(float))

        return MechanizeState(
            r=zeros(),
            m=zeros(),
            v=zeros(),
            s=jnp.full_like(zeros(), as_scalar(self.s_init)),
            p0=copied(params),
            compensation=wide_zeros_like(params),
            inner=self.inner.init(params),
        )

    def update(
        self,
        updates: PyTree,
        state: MechanizeState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, MechanizeState]:
        params = require_params(params, updates, "mechanize")
        eps, before = as_scalar(self.eps), jnp.sum(state.s)
        way = way_back(state.compensation, state.p0, params)
        pull = global_norm(updates) / (global_norm(params) + eps)
        weight = as_scalar(self.weight_decay) * before * pull
        decayed = _decayed_gradient(updates, params, weight=weight)
        product = inner_product(decayed, way) / (before + eps)
        r, m, v, s = self._tuned(state, product)
        base, inner = self.inner.update(updates, state.inner, params, **extra)
        updates = _scaled_way(base, way, before=before + eps, after=jnp.sum(s))
        lost = compensated(state.compensation, params, updates)
        return updates, MechanizeState(r, m, v, s, state.p0, lost, inner)

    def _tuned(self, state: MechanizeState, product: Array) -> tuple[Array, ...]:
        """The next ``r``, ``m``, ``v`` and ``s``."""
        eps = as_scalar(self.eps)
        powers = jnp.arange(1, self.num_betas + 1, dtype=eps.dtype)
        forgotten = as_scalar(10.0) ** -powers  # 1 - b
        clipped = jnp.clip(product, -state.m, state.m)
        r = state.r - forgotten * state.r + clipped * state.s
        m = jnp.maximum(state.m - forgotten * state.m, jnp.abs(product) + eps)
        v = state.v - forgotten * (2 - forgotten) * state.v + product**2
        wealth = as_scalar(self.s_init) / self.num_betas * m + jnp.maximum(r, 0)
        return r, m, v, wealth / (sqrt(v) + eps)
