"""AggMo."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
from jax import Array, lax

from .._checks import check_decay_rates
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._placement import zeros_like
from .._state import PerParameter
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, compute_dtype, flatten_like, is_sparse, leaf_dtype
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleByAggmoState(NamedTuple):
    """State of `scale_by_aggmo`.

    **Fields:**

    - ``momentum_buffer``: a tuple of buffers for each parameter, one for each of
      ``betas``.
    """

    momentum_buffer: PerParameter


@elementwise()
def _buffered(momentum_buffer: Array, updates: Array, *, beta: Array) -> Array:
    return beta * momentum_buffer + updates


def _buffers_mean(grad: Array, buffers: tuple[Array, ...]) -> Array:
    dtype = compute_dtype(*map(leaf_dtype, buffers))
    first, *rest = (lax.convert_element_type(x, dtype) for x in buffers)
    return lax.convert_element_type(sum(rest, first) / len(buffers), leaf_dtype(grad))


@transformation
class scale_by_aggmo(GradientTransformation):
    """The mean of several momentum buffers.

    The rule: see `aggmo`.

    **Arguments:**

    - ``betas``: see `aggmo`.

    **State:** `ScaleByAggmoState`.

    **Raises:** `ValueError` for a number out of range, and at `update` for a state that
    was made with another number of ``betas``.
    """

    betas: tuple[Value, ...] = (0.0, 0.9, 0.99)

    def __post_init__(self) -> None:
        check_decay_rates("betas", self.betas)

    def init(self, params: PyTree) -> ScaleByAggmoState:
        trees = [zeros_like(params) for _ in range(len(self.betas))]
        return ScaleByAggmoState(jax.tree.map(lambda *x: x, *trees))

    def update(
        self,
        updates: PyTree,
        state: ScaleByAggmoState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByAggmoState]:
        treedef: Any
        grads, treedef = jax.tree.flatten(updates, is_leaf=is_sparse)
        before = flatten_like(
            state.momentum_buffer, updates, ("momentum_buffer", "updates")
        )
        count = len(self.betas)
        for buffers in before:
            if len(buffers) != count:
                raise ValueError(
                    f"this state was made with {len(buffers)} betas, and this is one "
                    f"with {count}; give the state that its init or last update "
                    "returned"
                )
        trees = [
            _buffered(
                treedef.unflatten(buffers[i] for buffers in before),
                updates,
                beta=self.betas[i],
            )
            for i in range(count)
        ]
        after = list(zip(*map(treedef.flatten_up_to, trees), strict=True))
        means = map(_buffers_mean, grads, after)
        return treedef.unflatten(means), ScaleByAggmoState(treedef.unflatten(after))


@factory
def aggmo(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, ...] = (0.0, 0.9, 0.99),
    weight_decay: Hyperparameter = 0.0,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """AggMo: gradient descent along the mean of several momentum buffers.

    ::

        g = g + weight_decay * p
        b_i = betas[i] * b_i + g
        u = -lr * (the mean of all b_i)

    The buffers damp each other's oscillations, so the largest decay rate can be closer
    to 1 than with a single buffer.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: the decay rate of each buffer, in [0, 1). There are as many buffers as
      rates; the authors' choice for ``K`` of them is ``1 - 0.1^i`` for ``i`` from 0.
    - ``weight_decay``: L2 penalty.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByAggmoState`, its buffers in the parameters' shapes and dtypes.

    **Complex parameters:** pass the conjugate of `jax.grad`'s result, as for `sgd`.

    **Raises:** `ValueError` for a number out of range.

    **Source:** Lucas, Sun, Zemel and Grosse, "Aggregated Momentum: Stability Through
    Passive Damping", 2019, [arXiv:1804.00325](https://arxiv.org/abs/1804.00325).
    """
    return assemble(
        scale_by_aggmo(betas),
        lr=lr,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
