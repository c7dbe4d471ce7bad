"""AdaMuon."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_betas
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import leafwise
from .._numerics import increment, one_minus_power, second_moment, sqrt
from .._placement import zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..linalg._newton_schulz import NS_COEFFICIENTS, check_orthogonalization
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._averages import average_gradients
from ._factory import factory
from ._matrices import OutputAxis, as_matrix, check_axes, check_matrices, from_matrix
from ._muon import Coefficients
from ._orthogonal import adam_factor, orthogonal_matrices


class ScaleByAdamuonState(NamedTuple):
    """State of `scale_by_adamuon`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``exp_avg_sq``: the average of the orthogonalized averages' squares.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]


@leafwise(outputs=2)
def _normalized_elements(
    updates: Array, exp_avg_sq: Array, *, weight: Array, correction: Array, eps: Array
) -> tuple[Array, Array]:
    """Matrices with elements of equal size and an RMS of 0.2."""
    exp_avg_sq = second_moment(exp_avg_sq, updates, weight)
    updates /= sqrt(exp_avg_sq / correction) + eps
    *_, rows, columns = updates.shape
    size = sqrt(jnp.sum(updates * updates, axis=(-2, -1), keepdims=True))
    factor = adam_factor(rows, columns) * min(rows, columns) ** 0.5
    return factor * updates / (size + eps), exp_avg_sq


@transformation
class scale_by_adamuon(GradientTransformation):
    """Average gradients, orthogonalize the averages, and equalize their elements.

    The rule: see `adamuon`.

    **Arguments:**

    - ``betas``, ``eps``, ``sign``, ``ns_coefficients``, ``ns_steps``, ``ns_dtype``,
      ``output_axis``, ``batch_axes``: see `adamuon`.

    **State:** `ScaleByAdamuonState`.

    **Raises:** what `adamuon` does.
    """

    betas: tuple[Value, Value] = (0.9, 0.95)
    eps: Value = 1e-10
    sign: bool = static(default=True)
    ns_coefficients: Any = NS_COEFFICIENTS
    ns_steps: int = static(default=5)
    ns_dtype: Any = static(default=jnp.bfloat16)
    output_axis: OutputAxis = static(default=-1)
    batch_axes: int = static(default=0)

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_orthogonalization(
            self.ns_coefficients, self.eps, self.ns_steps, self.ns_dtype
        )
        check_axes(self.output_axis, self.batch_axes)
        object.__setattr__(self, "ns_dtype", jnp.dtype(self.ns_dtype))

    def init(self, params: PyTree) -> ScaleByAdamuonState:
        check_matrices("adamuon", params, self.output_axis, self.batch_axes)
        return ScaleByAdamuonState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByAdamuonState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByAdamuonState]:
        beta1, beta2 = self.betas
        step = increment(state.step)
        averages, exp_avg = average_gradients(
            updates,
            state.exp_avg,
            weight=1 - beta1,
            average_share=1.0,
            gradient_share=0.0,
            nesterov=False,
        )
        treedef: Any
        leaves, treedef = jax.tree.flatten(averages)
        axes = self.output_axis, self.batch_axes
        orthogonal = orthogonal_matrices(
            jax.tree.map(jnp.sign, leaves) if self.sign else leaves,
            *axes,
            self.ns_coefficients,
            1e-7,
            steps=self.ns_steps,
            dtype=self.ns_dtype,
        )
        squares = treedef.flatten_up_to(state.exp_avg_sq)
        matrices, squares = _normalized_elements(
            orthogonal,
            [as_matrix(x, *axes) for x in squares],
            weight=1 - beta2,
            correction=one_minus_power(beta2, step),
            eps=self.eps,
        )
        updates, exp_avg_sq = (
            treedef.unflatten(
                from_matrix(x, leaf.shape, *axes)
                for x, leaf in zip(found, leaves, strict=True)
            )
            for found in (matrices, squares)
        )
        return updates, ScaleByAdamuonState(step, exp_avg, exp_avg_sq)


@factory
def adamuon(
    lr: Hyperparameter = 0.02,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.95),
    eps: Hyperparameter = 1e-10,
    weight_decay: Hyperparameter = 0.0,
    *,
    sign: bool = True,
    ns_coefficients: Coefficients = NS_COEFFICIENTS,
    ns_steps: int = 5,
    ns_dtype: Any = jnp.bfloat16,
    output_axis: OutputAxis = -1,
    batch_axes: int = 0,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Muon whose steps are divided elementwise by their average size so far.

    ::

        m = betas[0] * m + (1 - betas[0]) * g
        O = orthogonalize(sign(m)  if sign,  else  m)    (outputs by inputs)
        v = betas[1] * v + (1 - betas[1]) * O^2
        N = O / (sqrt(v / (1 - betas[1]^t)) + eps)
        u = -lr * (0.2 * N / RMS(N) + weight_decay * p)

    The RMS of a step equals that of Adam, so you can use Adam's learning rates.

    Like `muon`, it is only for matrices inside a network: see `label_matrices`.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the mean and of the mean square, each in [0, 1).
    - ``eps``: keeps the divisors away from 0.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``sign``: orthogonalize the signs of the mean, as the paper does. Some
      implementations orthogonalize the mean instead.
    - ``ns_coefficients``: see `linalg.orthogonalize` and
      `linalg.polar_express_coefficients`.
    - ``ns_steps``, ``ns_dtype``: see `linalg.orthogonalize`.
    - ``output_axis``: the axis of the outputs, or a tuple of axes, which defines the
      matrix of a kernel with more than two axes.
    - ``batch_axes``: the number of leading axes that index separate matrices.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    All numbers except ``ns_steps`` may be arrays or schedules.

    **State:** `ScaleByAdamuonState`, in the parameters' shapes and dtypes. On a mesh
    with explicit axes the matrices must not be sharded (`jax.sharding.reshard` first).

    **Raises:** `ValueError` for a number out of range, and at `init` for a parameter
    that is not a matrix; `TypeError` for complex parameters and for sparse gradients.

    **Source:** Si et al., "AdaMuon: Adaptive Muon Optimizer", 2025,
    [arXiv:2507.11005](https://arxiv.org/abs/2507.11005).
    """
    direction = scale_by_adamuon(
        betas,
        eps,
        sign,
        ns_coefficients,
        ns_steps,
        ns_dtype,
        output_axis,
        batch_axes,
    )
    return assemble(
        direction, lr=lr, weight_decay=weight_decay, mask=mask, maximize=maximize
    )
