"""Dion."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_integer, check_range, check_whole
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._numerics import is_number, sqrt
from .._placement import on_whole_leaves, zeros_like
from .._state import PerParameter
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, check_real, check_shapes, compute_dtype
from ..linalg._kronecker import apply_alike, rows_of
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory
from ._matrices import (
    OutputAxis,
    as_matrix,
    check_axes,
    check_matrices,
    from_matrix,
    matrix_shape,
)
from ._orthogonal import spectral_factor


class ScaleByDionState(NamedTuple):
    """State of `scale_by_dion`.

    **Fields:**

    - ``momentum``: the sum of each parameter's gradients minus the part that was used.
    - ``Q``: the right factors of each parameter's last step, of shape
      ``[..., inputs, rank]``, in at least float32.
    """

    momentum: PerParameter
    Q: PerParameter


def _matmul(x: Array, y: Array) -> Array:
    return jnp.matmul(x, y, precision="highest")


def _low_rank(
    gradients: Array, momenta: Array, factors: Array, kept: Array, eps: Array
) -> tuple[Array, Array, Array]:
    """Updates, momenta and right factors of separate matrices."""
    momenta = momenta + gradients
    left, _ = jnp.linalg.qr(_matmul(momenta, factors))
    is_zero = jnp.all(momenta == 0, axis=(-2, -1), keepdims=True)
    left = jnp.where(is_zero, 0, left)
    right = _matmul(jnp.swapaxes(momenta, -2, -1), left)
    used = _matmul(left, jnp.swapaxes(right, -2, -1))
    sizes = sqrt(jnp.sum(right * right, axis=-2, keepdims=True))
    factors = jnp.where(is_zero, factors, right / (sizes + eps))
    updates = spectral_factor(*momenta.shape[-2:]) * _matmul(
        left, jnp.swapaxes(factors, -2, -1)
    )
    return updates, momenta - (1 - kept) * used, factors


@transformation
class scale_by_dion(GradientTransformation):
    """Orthogonalize the gradients' sum with a low rank, and keep the rest.

    The rule: see `dion`. All matrices of one shape are one batch.

    **Arguments:**

    - ``momentum``, ``rank_fraction``, ``rank_multiple_of``, ``eps``, ``seed``,
      ``output_axis``, ``batch_axes``: see `dion`.

    **State:** `ScaleByDionState`.

    **Raises:** what `dion` does.
    """

    momentum: Value = 0.95
    rank_fraction: float = static(default=1)
    rank_multiple_of: int = static(default=1)
    eps: Value = 1e-8
    seed: Value = 0
    output_axis: OutputAxis = static(default=-1)
    batch_axes: int = static(default=0)

    def __post_init__(self) -> None:
        check_range("momentum", self.momentum, at_least=0, at_most=1)
        if not is_number(self.rank_fraction):
            raise TypeError(
                "rank_fraction must be a number, because the state's shapes depend "
                f"on it, found {self.rank_fraction!r}"
            )
        check_range("rank_fraction", self.rank_fraction, above=0, at_most=1)
        check_integer("rank_multiple_of", self.rank_multiple_of, at_least=1)
        check_range("eps", self.eps, at_least=0)
        check_whole("seed", self.seed, at_least=0)
        check_axes(self.output_axis, self.batch_axes)

    def _rank(self, outputs: int, inputs: int) -> int:
        step = self.rank_multiple_of
        smallest = min(outputs, inputs)
        return min(smallest, step * math.ceil(self.rank_fraction * smallest / step))

    def init(self, params: PyTree) -> ScaleByDionState:
        check_matrices("dion", params, self.output_axis, self.batch_axes)
        treedef: Any
        leaves, treedef = jax.tree.flatten(params)
        keys = jax.random.split(jax.random.key(self.seed), len(leaves))

        def factors(key: Array, leaf: Any) -> Array:
            *batch, outputs, inputs = matrix_shape(
                jnp.shape(leaf), self.output_axis, self.batch_axes
            )
            shape = (*batch, inputs, self._rank(outputs, inputs))
            # The same numbers for every dtype.
            noise = jax.random.normal(key, shape, jnp.float32)
            return noise.astype(compute_dtype(leaf.dtype))

        return ScaleByDionState(
            zeros_like(params), treedef.unflatten(map(factors, keys, leaves))
        )

    @on_whole_leaves()
    def update(
        self,
        updates: PyTree,
        state: ScaleByDionState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByDionState]:
        check_real(updates, ("dion", "gradients"))
        check_shapes(updates, state.momentum, ("updates", "momentum"))
        treedef: Any
        leaves, treedef = jax.tree.flatten(updates)
        factors = treedef.flatten_up_to(state.Q)
        axes = self.output_axis, self.batch_axes

        def matrices(tree: PyTree) -> list[Array | None]:
            """None for leaves without elements, which have nothing to factorize."""
            return [
                as_matrix(x.astype(q.dtype), *axes) if x.size else None
                for x, q in zip(treedef.flatten_up_to(tree), factors, strict=True)
            ]

        def rule(g: Array, m: Array, q: Array) -> tuple[Array, Array, Array]:
            scalars = (self.momentum, self.eps)
            return _low_rank(
                g, m, q, *(lax.convert_element_type(x, q.dtype) for x in scalars)
            )

        results = apply_alike(
            rule, rows_of(matrices(updates), matrices(state.momentum), factors)
        )
        buffers = treedef.flatten_up_to(state.momentum)
        rows = [
            (g, m, q)
            if found is None
            else (
                from_matrix(found[0], g.shape, *axes).astype(g.dtype),
                from_matrix(found[1], m.shape, *axes).astype(m.dtype),
                found[2],
            )
            for g, m, q, found in zip(leaves, buffers, factors, results, strict=True)
        ]
        updates, momentum, new = (
            treedef.unflatten(row[i] for row in rows) for i in range(3)
        )
        return updates, ScaleByDionState(momentum, new)


@factory
def dion(
    lr: Hyperparameter = 0.01,
    momentum: Hyperparameter = 0.95,
    weight_decay: Hyperparameter = 0.01,
    *,
    rank_fraction: float = 1,
    rank_multiple_of: int = 1,
    eps: Hyperparameter = 1e-8,
    seed: int | Array = 0,
    output_axis: OutputAxis = -1,
    batch_axes: int = 0,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Orthogonal low-rank updates, with feedback of what they leave out.

    ::

        M = M + g                                        (outputs by inputs)
        P = QR(M Q)                                      (its orthogonal factor)
        R = M^T P
        M = M - (1 - momentum) * P R^T
        Q = R / (norms of R's columns + eps)
        u = -lr * (sqrt(outputs / inputs) * P Q^T + weight_decay * p)

    One step of a power iteration from the last ``Q``, which is random at first,
    replaces Muon's products of the whole matrix. With a small rank, it costs less than
    those, and what the step leaves out stays in ``M`` for later steps.

    Like `muon`, it is only for matrices inside a network: see `label_matrices`.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``momentum``: the fraction of the used part that stays in ``M``, in [0, 1].
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``rank_fraction``: the rank of the updates relative to the smaller side of a
      matrix, in (0, 1].
    - ``rank_multiple_of``: round the rank up to a multiple of this number.
    - ``eps``: added to the norms of columns.
    - ``seed``: an integer of at least 0, from which `init` draws ``Q``.
    - ``output_axis``: the axis of the outputs, or a tuple of axes. It is the last in
      the kernels of JAX's libraries; use 0 for torch's layout. All other axes except
      ``batch_axes`` are inputs.
    - ``batch_axes``: the number of leading axes that index separate matrices.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    All numbers except those of the rank may be arrays or schedules.

    **State:** `ScaleByDionState`. A matrix is whole on each device while it is
    factorized; on a mesh with explicit axes it must be so (`jax.sharding.reshard`
    first).

    **Raises:** `ValueError` for a number out of range, and at `init` for a parameter
    that is not a matrix; `TypeError` for complex parameters and for sparse gradients.

    **Source:** Ahn et al., "Dion: Distributed Orthonormalized Updates", 2025,
    [arXiv:2504.05295](https://arxiv.org/abs/2504.05295).
    """
    direction = scale_by_dion(
        momentum, rank_fraction, rank_multiple_of, eps, seed, output_axis, batch_axes
    )
    return assemble(
        direction, lr=lr, weight_decay=weight_decay, mask=mask, maximize=maximize
    )
