"""NorMuon."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import leafwise
from .._numerics import second_moment, sqrt
from .._placement import zeros_like, zeros_like_result
from .._state import Keeps, NonNegative, PerParameter
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..linalg._newton_schulz import NS_COEFFICIENTS, check_orthogonalization
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._averages import average_gradients
from ._factory import factory
from ._matrices import (
    OutputAxis,
    as_matrix,
    check_axes,
    check_matrices,
    from_matrix,
)
from ._muon import Coefficients
from ._orthogonal import bounded_factor, orthogonal_matrices


class ScaleByNormuonState(NamedTuple):
    """State of `scale_by_normuon`.

    **Fields:**

    - ``momentum_buffer``: the average of each parameter's gradients, from 0 and not
      debiased.
    - ``second_momentum_buffer``: the average of the mean squares of each matrix's rows
      after the orthogonalization, one number per output.
    """

    momentum_buffer: PerParameter
    second_momentum_buffer: Annotated[NonNegative, Keeps("beta2")]


@leafwise(outputs=2)
def _normalized_rows(
    updates: Array, second_momentum_buffer: Array, *, weight: Array, eps: Array
) -> tuple[Array, Array]:
    """Matrices with rows of equal size and the same total size."""

    def norm(x: Array) -> Array:
        return sqrt(jnp.sum(x * x, axis=(-2, -1), keepdims=True))

    size = norm(updates)
    inputs = max(updates.shape[-1], 1)
    row_rms = sqrt(jnp.sum(updates * updates, -1, keepdims=True) / inputs)
    second_momentum_buffer = second_moment(second_momentum_buffer, row_rms, weight)
    updates /= sqrt(second_momentum_buffer) + eps
    updates *= size / (norm(updates) + eps)
    factor = bounded_factor(*updates.shape[-2:])
    return factor * updates, second_momentum_buffer


@transformation
class scale_by_normuon(GradientTransformation):
    """Average gradients, orthogonalize the averages, and equalize their rows.

    The rule: see `normuon`.

    **Arguments:**

    - ``momentum``, ``beta2``, ``nesterov``, ``ns_coefficients``, ``eps``, ``ns_steps``,
      ``ns_dtype``, ``output_axis``, ``batch_axes``: see `normuon`.

    **State:** `ScaleByNormuonState`.

    **Raises:** what `normuon` does.
    """

    momentum: Value = 0.95
    beta2: Value = 0.95
    nesterov: bool = static(default=True)
    ns_coefficients: Any = NS_COEFFICIENTS
    eps: Value = 1e-10
    ns_steps: int = static(default=5)
    ns_dtype: Any = static(default=jnp.bfloat16)
    output_axis: OutputAxis = static(default=-1)
    batch_axes: int = static(default=0)

    def __post_init__(self) -> None:
        check_range("momentum", self.momentum, at_least=0, below=1)
        check_range("beta2", self.beta2, at_least=0, below=1)
        check_orthogonalization(
            self.ns_coefficients, self.eps, self.ns_steps, self.ns_dtype
        )
        check_axes(self.output_axis, self.batch_axes)
        object.__setattr__(self, "ns_dtype", jnp.dtype(self.ns_dtype))

    def init(self, params: PyTree) -> ScaleByNormuonState:
        check_matrices("normuon", params, self.output_axis, self.batch_axes)

        def row_sums(leaf: Any) -> Array:
            matrix = as_matrix(jnp.asarray(leaf), self.output_axis, self.batch_axes)
            return jnp.sum(matrix, -1, keepdims=True)

        row_zeros = partial(zeros_like_result, row_sums)
        return ScaleByNormuonState(zeros_like(params), jax.tree.map(row_zeros, params))

    def update(
        self,
        updates: PyTree,
        state: ScaleByNormuonState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByNormuonState]:
        averages, momentum_buffer = average_gradients(
            updates,
            state.momentum_buffer,
            weight=1 - self.momentum,
            average_share=self.momentum if self.nesterov else 1.0,
            gradient_share=1 - self.momentum,
            nesterov=self.nesterov,
        )
        treedef: Any
        leaves, treedef = jax.tree.flatten(averages)
        axes = self.output_axis, self.batch_axes
        orthogonal = orthogonal_matrices(
            leaves,
            *axes,
            self.ns_coefficients,
            1e-7,
            steps=self.ns_steps,
            dtype=self.ns_dtype,
        )
        matrices, second_momentum_buffer = _normalized_rows(
            treedef.unflatten(orthogonal),
            state.second_momentum_buffer,
            weight=1 - self.beta2,
            eps=self.eps,
        )
        updates = jax.tree.map(
            lambda x, average: from_matrix(x, average.shape, *axes), matrices, averages
        )
        return updates, ScaleByNormuonState(momentum_buffer, second_momentum_buffer)


@factory
def normuon(
    lr: Hyperparameter = 0.02,
    weight_decay: Hyperparameter = 0.0,
    momentum: Hyperparameter = 0.95,
    beta2: Hyperparameter = 0.95,
    nesterov: bool = True,
    *,
    ns_coefficients: Coefficients = NS_COEFFICIENTS,
    eps: Hyperparameter = 1e-10,
    ns_steps: int = 5,
    ns_dtype: Any = jnp.bfloat16,
    output_axis: OutputAxis = -1,
    batch_axes: int = 0,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Muon with equally large steps for each of a layer's neurons.

    ::

        b = momentum * b + (1 - momentum) * g
        X = (1 - momentum) * g + momentum * b  if nesterov,  else  b
        O = orthogonalize(X)                             (outputs by inputs)
        v = beta2 * v + (1 - beta2) * mean(O^2, inputs)
        N = O / (sqrt(v) + eps)
        N = N * ||O||_F / (||N||_F + eps)
        u = -lr * (sqrt(max(1, outputs / inputs)) * N + weight_decay * p)

    The rows of an orthogonal matrix with more outputs than inputs have different sizes,
    and each row of weights is a neuron. ``N`` has the size of ``O``, so the average
    ``v`` does not need to be debiased.

    Like `muon`, it is only for matrices inside a network: see `label_matrices`.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``momentum``: the decay rate of the average, in [0, 1).
    - ``beta2``: the decay rate of the mean squares, in [0, 1).
    - ``nesterov``: average once more with the gradient.
    - ``ns_coefficients``: see `linalg.orthogonalize` and
      `linalg.polar_express_coefficients`.
    - ``eps``: keeps the divisors away from 0.
    - ``ns_steps``, ``ns_dtype``: see `linalg.orthogonalize`.
    - ``output_axis``: the axis of the outputs, or a tuple of axes. It is the last in
      the kernels of JAX's libraries; use 0 for torch's layout. All other axes except
      ``batch_axes`` are inputs.
    - ``batch_axes``: the number of leading axes that index separate matrices.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    All numbers except ``ns_steps`` may be arrays or schedules.

    **State:** `ScaleByNormuonState`, in the parameters' dtypes. On a mesh with explicit
    axes the matrices must not be sharded (`jax.sharding.reshard` first).

    **Raises:** `ValueError` for a number out of range, and at `init` for a parameter
    that is not a matrix; `TypeError` for complex parameters and for sparse gradients.

    **Source:** Li et al., "NorMuon: Making Muon more efficient and scalable", 2025,
    [arXiv:2510.05491](https://arxiv.org/abs/2510.05491).
    """
    direction = scale_by_normuon(
        momentum,
        beta2,
        nesterov,
        ns_coefficients,
        eps,
        ns_steps,
        ns_dtype,
        output_axis,
        batch_axes,
    )
    return assemble(
        direction, lr=lr, weight_decay=weight_decay, mask=mask, maximize=maximize
    )
