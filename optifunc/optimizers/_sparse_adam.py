"""Adam for sparse gradients."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_betas, check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import increment, one_minus_power, sqrt
from .._placement import zeros_like
from .._sparse import entries, summed, with_data, with_entries
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import (
    PyTree,
    check_real,
    check_shapes,
    compute_dtype,
    is_sparse,
    leaves_with_names,
)
from ._assemble import assemble
from ._factory import factory


class ScaleBySparseAdamState(NamedTuple):
    """State of `scale_by_sparse_adam`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, dense.
    - ``exp_avg_sq``: the same for their squares, dense.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]


@elementwise(outputs=3)
def _sparse_adam(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    *,
    weight1: Array,
    weight2: Array,
    size: Array,
    eps: Array,
) -> tuple[Array, Array, Array]:
    exp_avg = exp_avg + weight1 * (updates - exp_avg)
    exp_avg_sq = exp_avg_sq + weight2 * (updates * updates - exp_avg_sq)
    return size * exp_avg / (sqrt(exp_avg_sq) + eps), exp_avg, exp_avg_sq


def _check_sparse(updates: PyTree) -> None:
    for name, leaf in leaves_with_names(updates):
        if not is_sparse(leaf):
            raise TypeError(
                "sparse_adam takes gradients that are jax.experimental.sparse.BCOO, "
                f"found a dense one of shape {jnp.shape(leaf)} at {name!r}; use adam "
                "for dense gradients (partition gives each leaf its own optimizer)"
            )


def _map_leaves(function: Any, *trees: PyTree) -> PyTree:
    return jax.tree.map(function, *trees, is_leaf=is_sparse)


def _summed_widely(leaf: Any) -> Any:
    """A gradient with each index once; its entries are summed in at least float32."""
    data = lax.convert_element_type(leaf.data, compute_dtype(leaf.dtype))
    return summed(with_data(leaf, data))


@transformation
class scale_by_sparse_adam(GradientTransformation):
    """Adam's direction at the indices where a sparse gradient has entries.

    The rule: see `sparse_adam`.

    **Arguments:**

    - ``betas``, ``eps``: see `sparse_adam`.

    **State:** `ScaleBySparseAdamState`.

    **Raises:** what `sparse_adam` does.
    """

    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-8

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, above=0)

    def init(self, params: PyTree) -> ScaleBySparseAdamState:
        check_real(params, ("sparse_adam", "parameters"))
        return ScaleBySparseAdamState(
            jnp.zeros((), jnp.int32), zeros_like(params), zeros_like(params)
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleBySparseAdamState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleBySparseAdamState]:
        _check_sparse(updates)
        check_real(updates, ("sparse_adam", "gradients"))
        check_shapes(updates, state.exp_avg, ("updates", "params"))
        beta1, beta2 = self.betas
        step = increment(state.step)
        grads = _map_leaves(_summed_widely, updates)
        new_updates, exp_avg, exp_avg_sq = _sparse_adam(
            _map_leaves(lambda g: g.data, grads),
            _map_leaves(lambda g, m: entries(m, g), grads, state.exp_avg),
            _map_leaves(lambda g, v: entries(v, g), grads, state.exp_avg_sq),
            weight1=1 - beta1,
            weight2=1 - beta2,
            size=jnp.sqrt(one_minus_power(beta2, step)) / one_minus_power(beta1, step),
            eps=self.eps,
        )

        def as_update(grad: Any, given: Any, data: Array) -> Any:
            return with_data(grad, lax.convert_element_type(data, given.dtype))

        def scatter(grad: Any, values: Array, average: Array) -> Array:
            return with_entries(average, grad, values)

        return _map_leaves(
            as_update, grads, updates, new_updates
        ), ScaleBySparseAdamState(
            step,
            _map_leaves(scatter, grads, exp_avg, state.exp_avg),
            _map_leaves(scatter, grads, exp_avg_sq, state.exp_avg_sq),
        )


@factory
def sparse_adam(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    maximize: bool = False,
) -> GradientTransformation:
    """`torch.optim.SparseAdam`: Adam on the entries of a sparse gradient.

    ::

        m = m + (1 - betas[0]) * (g - m)
        v = v + (1 - betas[1]) * (g^2 - v)
        u = -lr * sqrt(1 - betas[1]^t) / (1 - betas[0]^t) * m / (sqrt(v) + eps)

    Gradients and updates are `jax.experimental.sparse.BCOO`. The moments and, with
    `apply_updates`, the parameter change only at the gradient's indices, at a cost that
    does not grow with the size of the parameter (if jit may write to its arguments:
    ``donate_argnums``). For an embedding, the gradient covers the rows that were looked
    up::

        rows = params["embedding"][tokens]                        # [n, width]
        row_grads = jax.grad(loss)(rows)                          # [n, width]
        grads = {"embedding": BCOO((row_grads, tokens[:, None]), shape=(size, width))}
        updates, state = tx.update(grads, state, params)
        params = of.apply_updates(params, updates)

    Entries with the same index are summed first. An index outside the parameter is
    padding and ignored; an explicit zero is an entry like any other. ``t`` counts
    updates, not visits of an entry; elements without an entry do not decay.

    **Arguments:**

    - ``lr``: the learning rate, above 0.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``eps``: added to the root before its correction, unlike in `adam`, and above 0.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **Shapes:** a gradient has its parameter's shape, ``n_batch=0`` and any ``n_sparse``
    from 1 (1 for rows); its number of entries may differ from step to step.

    **State:** `ScaleBySparseAdamState`, its trees dense and in the parameters' shapes
    and dtypes.

    **Raises:** `ValueError` for a number out of range and a gradient of another shape;
    `TypeError` for a dense gradient (use `partition` to give dense leaves to `adam`)
    and for complex parameters.

    **Source:** Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015,
    [arXiv:1412.6980](https://arxiv.org/abs/1412.6980), restricted to the entries that
    are there.
    """
    check_range("lr", lr, above=0)
    return assemble(scale_by_sparse_adam(betas, eps), lr=lr, maximize=maximize)
