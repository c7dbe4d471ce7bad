"""SOAP."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._checks import check_betas, check_integer, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import (
    first_moment,
    increment,
    one_minus_power,
    second_moment,
    sqrt,
)
from .._placement import laid_like, on_whole_leaves, whole, zeros_like
from .._state import Keeps, NonNegative, PerAxis, PerParameter, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree, check_real, check_shapes, compute_dtype
from ..linalg._kronecker import (
    apply_alike,
    gram,
    multiply_axes,
    rows_of,
    transpose_each,
    whole_each,
)
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._decay_inside import check_mask_fits, decaying, static_mask
from ._factors import flat, merged_shape, scaled_identity, unflat
from ._factory import factory

Factors = list[Array | None]


class StepBySoapState(NamedTuple):
    """State of `step_by_soap`.

    **Fields:**

    - ``step``: int32 [], steps done so far; -1 before the first update, which does not
      move the parameters.
    - ``exp_avg``: the average of each parameter's gradients, in the eigenbasis.
    - ``exp_avg_sq``: the average of their squares, in the eigenbasis.
    - ``GG``: a list for each parameter with, for each axis, the average of the
      gradient's products with itself over the other axes, in at least float32; None for
      an axis without a factor.
    - ``Q``: the eigenvectors of ``GG``, as columns.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]
    GG: PerAxis
    Q: PerAxis


class _Leaf(NamedTuple):
    """One parameter's part of the state, in the dtype of the computation."""

    exp_avg: Array
    exp_avg_sq: Array
    GG: Factors
    Q: Factors


def _eigenvectors(matrices: Array) -> tuple[Array]:
    """Eigenvectors sorted from the largest eigenvalue down."""
    tiny = 1e-30 * jnp.eye(matrices.shape[-1], dtype=matrices.dtype)
    _, vectors = jnp.linalg.eigh(matrices + tiny[None])
    return (jnp.flip(vectors, -1),)


def _power_step(matrices: Array, vectors: Array) -> tuple[Array, Array]:
    """Improved approximate eigenvectors, sorted, and their order."""
    product = jnp.matmul(matrices, vectors, precision="highest")
    eigenvalues = jnp.sum(vectors * product, axis=-2)
    order = jnp.argsort(eigenvalues, axis=-1, descending=True)
    product = jnp.take_along_axis(product, order[:, None, :], axis=-1)
    orthogonal, _ = jnp.linalg.qr(product)
    return orthogonal, order


@elementwise()
def _soap_step(
    updates: Array,
    params: Array,
    decaying: Array | None,
    *,
    lr: Array,
    shrinkage: Array,
) -> Array:
    updates = -lr * updates
    if decaying is not None:
        # Decay of the parameters after the step.
        updates -= shrinkage * (params + updates)
    return updates


@transformation
class step_by_soap(GradientTransformation):
    """SOAP's step.

    The rule: see `soap`. The learning rate is an argument because the decay comes after
    the step, and because the first update moves nothing.

    **Arguments:**

    - ``lr``, ``betas``, ``shampoo_beta``, ``eps``, ``weight_decay``,
      ``precondition_frequency``, ``max_precond_dim``, ``merge_dims``,
      ``precondition_1d``, ``normalize_grads``, ``correct_bias``, ``one_sided``,
      ``mask``: see `soap`.

    **State:** `StepBySoapState`.

    **Raises:** what `soap` does.
    """

    lr: Value = 3e-3
    betas: tuple[Value, Value] = (0.95, 0.95)
    shampoo_beta: Value | None = None
    eps: Value = 1e-8
    weight_decay: Value = 0.01
    precondition_frequency: int = static(default=10)
    max_precond_dim: int = static(default=10000)
    merge_dims: bool = static(default=False)
    precondition_1d: bool = static(default=False)
    normalize_grads: bool = static(default=False)
    correct_bias: bool = static(default=True)
    one_sided: bool = static(default=False)
    mask: Any = static(default=None)

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_betas(self.betas)
        if self.shampoo_beta is not None:
            check_range("shampoo_beta", self.shampoo_beta, at_least=0, below=1)
        check_range("eps", self.eps, at_least=0)
        check_range("weight_decay", self.weight_decay, at_least=0)
        frequency = self.precondition_frequency
        check_integer("precondition_frequency", frequency, at_least=1)
        check_integer("max_precond_dim", self.max_precond_dim, at_least=0)
        object.__setattr__(self, "mask", static_mask(self.mask))

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape in which a leaf is rotated."""
        return merged_shape(shape, self.max_precond_dim) if self.merge_dims else shape

    def _axes(self, shape: tuple[int, ...]) -> list[bool]:
        """Whether each axis is rotated."""
        if 0 in shape or (len(shape) == 1 and not self.precondition_1d):
            return [False] * len(shape)
        chosen = [n <= self.max_precond_dim for n in shape]
        if self.one_sided and any(chosen):
            smallest = int(np.argmin(shape))
            chosen = [i == smallest and keep for i, keep in enumerate(chosen)]
        return chosen

    def init(self, params: PyTree) -> StepBySoapState:
        check_real(params, ("soap", "parameters"))
        check_mask_fits(self.mask, params)

        def factors(scale: float) -> PyTree:
            def of_leaf(leaf: Any) -> Factors:
                shape = self._shape(jnp.shape(leaf))
                return [
                    scaled_identity(shape[i], leaf, scale, shape, i) if x else None
                    for i, x in enumerate(self._axes(shape))
                ]

            return jax.tree.map(of_leaf, params)

        return StepBySoapState(
            step=jnp.full((), -1, jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
            GG=factors(0.0),
            Q=factors(1.0),
        )

    @on_whole_leaves("exp_avg", "exp_avg_sq", "GG", "Q", "params")
    def update(
        self,
        updates: PyTree,
        state: StepBySoapState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepBySoapState]:
        params = require_params(params, updates, "soap")
        check_real(updates, ("soap", "gradients"))
        check_shapes(updates, params, ("updates", "params"))
        treedef: Any
        given, treedef = jax.tree.flatten(updates)
        columns = [treedef.flatten_up_to(tree) for tree in state[1:]]
        grads, leaves = [], []
        for grad, *row in zip(given, *columns, strict=True):
            dtype = compute_dtype(grad.dtype)
            shape = self._shape(grad.shape)
            grads.append(grad.astype(dtype).reshape(shape))
            m, v = (_reshaped(x.astype(dtype), shape) for x in row[:2])
            leaves.append(_Leaf(m, v, *row[2:]))
        step = increment(state.step)
        # The first gradients alone determine the basis too poorly to use it.
        directions, new = lax.cond(
            state.step < 0,
            lambda: (list(map(jnp.zeros_like, grads)), self._begun(grads, leaves)),
            lambda: self._direction(grads, leaves, step),
        )
        lr = jnp.where(state.step < 0, 0, self.lr)
        updates = _soap_step(
            treedef.unflatten(
                d.reshape(g.shape).astype(g.dtype)
                for d, g in zip(directions, given, strict=True)
            ),
            params,
            decaying(params, self.mask),
            lr=lr,
            shrinkage=lr * self.weight_decay,
        )
        m, v = (
            treedef.unflatten(
                leaf[i].reshape(x.shape).astype(x.dtype)
                for leaf, x in zip(new, columns[i], strict=True)
            )
            for i in range(2)
        )
        factors = (treedef.unflatten(leaf[i] for leaf in new) for i in (2, 3))
        return updates, StepBySoapState(step, m, v, *factors)

    def _begun(self, grads: list[Array], leaves: list[_Leaf]) -> list[_Leaf]:
        """The leaves after the first gradients, from which the bases come."""
        averages = [self._averaged(g, x) for g, x in zip(grads, leaves, strict=True)]
        found = apply_alike(_eigenvectors, rows_of(flat(averages)))
        bases = flat([leaf.Q for leaf in leaves])
        vectors = unflat([*map(_laid, found, bases)], averages)
        rows = zip(leaves, averages, vectors, strict=True)
        return [leaf._replace(GG=gg, Q=q) for leaf, gg, q in rows]

    def _averaged(self, grad: Array, leaf: _Leaf) -> Factors:
        beta = self.betas[1] if self.shampoo_beta is None else self.shampoo_beta

        def averaged(axis: int, old: Array | None) -> Array | None:
            if old is None:
                return None
            weight = lax.convert_element_type(1 - beta, old.dtype)
            return first_moment(old, laid_like(gram(grad, axis), old), weight)

        return [averaged(axis, old) for axis, old in enumerate(leaf.GG)]

    def _direction(
        self, grads: list[Array], leaves: list[_Leaf], step: Array
    ) -> tuple[list[Array], list[_Leaf]]:
        """Adam in the eigenbases, which are updated periodically."""
        beta1, beta2 = self.betas
        scale: Any = 1.0
        if self.correct_bias:
            later = jnp.maximum(step, 1)
            scale = sqrt(one_minus_power(beta2, later)) / one_minus_power(beta1, later)
        directions, new = [], []
        for grad, leaf in zip(grads, leaves, strict=True):
            weight1, weight2, eps, factor = (
                lax.convert_element_type(x, grad.dtype)
                for x in (1 - beta1, 1 - beta2, self.eps, scale)
            )
            bases = whole_each(leaf.Q)
            rotated = multiply_axes(grad, bases)
            m, v = leaf[:2]
            m = first_moment(m, laid_like(rotated, m), weight1)
            v = second_moment(v, laid_like(rotated, v), weight2)
            quotient = whole(m / (sqrt(v) + eps))
            direction = multiply_axes(quotient, transpose_each(bases))
            if self.normalize_grads:
                mean = jnp.sum(direction * direction) / max(direction.size, 1)
                direction /= 1e-30 + sqrt(mean)
            directions.append(factor * direction)
            new.append(_Leaf(m, v, self._averaged(grad, leaf), leaf.Q))
        is_due = step % self.precondition_frequency == 0
        return directions, lax.cond(is_due, _renewed, lambda leaves: leaves, new)


def _renewed(leaves: list[_Leaf]) -> list[_Leaf]:
    """The leaves with sorted bases that are closer to those of the averages."""
    bases = [leaf.Q for leaf in leaves]
    columns = flat([leaf.GG for leaf in leaves]), flat(bases)
    found = apply_alike(_power_step, rows_of(*columns))
    rows = zip(leaves, unflat(found, bases), strict=True)
    return [_in_new_basis(leaf, results) for leaf, results in rows]


def _in_new_basis(leaf: _Leaf, results: list[Any]) -> _Leaf:
    new = [None if x is None else x[0] for x in results]
    old = transpose_each(whole_each(leaf.Q))
    v = whole(leaf.exp_avg_sq)
    for axis, result in enumerate(results):
        if result is not None:
            v = jnp.take(v, result[1], axis=axis)
    m = multiply_axes(multiply_axes(whole(leaf.exp_avg), old), new)
    return leaf._replace(
        exp_avg=laid_like(m, leaf.exp_avg),
        exp_avg_sq=laid_like(v, leaf.exp_avg_sq),
        Q=[*map(_laid, results, leaf.Q)],
    )


def _reshaped(leaf: Array, shape: tuple[int, ...]) -> Array:
    """A leaf in another shape, for which it is gathered."""
    return leaf if leaf.shape == shape else whole(leaf).reshape(shape)


def _laid(found: Any, old: Array | None) -> Array | None:
    """A new basis, sharded like the old one; None if there is none."""
    return None if old is None else laid_like(found[0], old)


@factory
def soap(
    lr: Hyperparameter = 3e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.95, 0.95),
    shampoo_beta: Hyperparameter | None = None,
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.01,
    precondition_frequency: int = 10,
    max_precond_dim: int = 10000,
    merge_dims: bool = False,
    precondition_1d: bool = False,
    normalize_grads: bool = False,
    correct_bias: bool = True,
    *,
    one_sided: bool = False,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Adam in the eigenbasis of Shampoo's preconditioner.

    For a matrix, with the bases ``Q1`` and ``Q2`` of the last step::

        X = Q1^T g Q2
        M = betas[0] * M + (1 - betas[0]) * X
        V = betas[1] * V + (1 - betas[1]) * X^2
        D = Q1 (M / (sqrt(V) + eps)) Q2^T
        u = -lr * sqrt(1 - betas[1]^t) / (1 - betas[0]^t) * D
        u = u - lr * weight_decay * (p + u)
        L = shampoo_beta * L + (1 - shampoo_beta) * g g^T
        R = shampoo_beta * R + (1 - shampoo_beta) * g^T g

    and every ``precondition_frequency`` steps, with the columns of ``Q`` in the order
    of ``diag(Q^T L Q)``, from the largest down, and ``V`` in the same order::

        Q1 = QR(L Q1),  Q2 = QR(R Q2),  M to the new bases

    The first update only initializes ``L`` and ``R``, whose eigenvectors are the first
    bases: it moves nothing and is not counted by ``t``. Tensors with more axes have a
    basis for each. Vectors and scalars have none and follow Adam.

    In the first steps, and for a matrix of low rank, some directions of the basis have
    no gradient except rounding errors; ``eps`` must not be smaller.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the mean and of the mean square, each in [0, 1).
    - ``shampoo_beta``: the decay rate of ``L`` and ``R``; None: ``betas[1]``.
    - ``eps``: added to the root of the mean square.
    - ``weight_decay``: decoupled decay of the parameters after the step, in units of
      ``lr``.
    - ``precondition_frequency``: the number of steps between updates of the bases. The
      steps in between need no decomposition; the others need a QR of each factor.
    - ``max_precond_dim``: longer axes have no basis.
    - ``merge_dims``: join neighboring axes up to that length, for convolutions.
    - ``precondition_1d``: whether vectors also have a basis.
    - ``normalize_grads``: scale each leaf's ``D`` to an RMS of 1.
    - ``correct_bias``: whether to debias the averages.
    - ``one_sided``: only the shortest axis of each leaf has a basis.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    All numbers except the counts may be arrays or schedules.

    **State:** `StepBySoapState`. All factors of one size are decomposed as one batch.
    Under `jax.vmap`, every step costs as much as one with a decomposition. On a mesh,
    the factors are sharded like their parameter, rows along the factor's own axis and
    columns along another, as far as their sizes allow, and gathered when used.

    **Raises:** `ValueError` for a number out of range, for a gradient of another shape
    and, at `update`, if ``params`` is missing; `TypeError` for complex parameters and
    for sparse gradients.

    **Source:** Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", 2024,
    [arXiv:2409.11321](https://arxiv.org/abs/2409.11321).
    """
    return assemble(
        step_by_soap(
            lr,
            betas,
            shampoo_beta,
            eps,
            weight_decay,
            precondition_frequency,
            max_precond_dim,
            merge_dims,
            precondition_1d,
            normalize_grads,
            correct_bias,
            one_sided,
            mask,
        ),
        lr=None,
        maximize=maximize,
    )
