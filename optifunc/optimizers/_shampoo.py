"""Shampoo."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_choice, check_integer, check_pair, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import leafwise
from .._numerics import as_scalar, increment, one_minus_power, sqrt
from .._placement import laid_like, on_whole_leaves, whole, zeros_like
from .._state import Keeps, NonNegative, PerAxis, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, check_real, check_shapes, compute_dtype
from ..linalg._kronecker import (
    apply_alike,
    gram,
    multiply_axes,
    transpose_each,
    whole_each,
)
from ..linalg._roots import from_eigenvalues
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factors import block_slices, joined_blocks, merged_shape, scaled_identity
from ._factory import factory
from ._options import check_option

GRAFTINGS = (None, "sgd", "adagrad", "rmsprop", "adam")
# For each block of a leaf, a list with a matrix for each axis.
Blocks = list[list[Array]]


class ScaleByShampooState(NamedTuple):
    """State of `scale_by_shampoo`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, from 0.
    - ``exp_avg_sq``: the sum or the average of their squares; None unless ``grafting``
      is ``"adagrad"``, ``"rmsprop"`` or ``"adam"``.
    - ``factor_matrices``: for each parameter, a list of its blocks; for each block, a
      list of its axes; for each axis, the sum or the average of the gradient's products
      with itself over the other axes, in at least float32.
    - ``inv_factor_matrices``: the inverse roots of these, as last computed; None with
      ``eigenvalue_corrected``.
    - ``factor_matrices_eigenvectors``: their eigenvectors, as columns; None without
      ``eigenvalue_corrected``.
    - ``corrected_eigenvalues``: the sum or the average of the squares of each
      parameter's gradient in the bases of its blocks; None without
      ``eigenvalue_corrected``.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative | None, Keeps("betas", 1)]
    factor_matrices: PerAxis
    inv_factor_matrices: PerAxis | None
    factor_matrices_eigenvectors: PerAxis | None = None
    corrected_eigenvalues: NonNegative | None = None


class _Scalars(NamedTuple):
    """Values that all leaves share in a step."""

    weight: Array  # of the newest products
    kept: Array  # of the old ones
    correction: Array  # of their average


@leafwise(outputs=4, static=("grafting",))
def _moments(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array | None,
    graft: Array,
    *,
    beta1: Array,
    beta3: Array,
    correction1: Array,
    kept: Array,
    weight: Array,
    correction2: Array,
    eps: Array,
    grafting: str | None,
) -> tuple[Array, Array, Array | None, Array]:
    """The average to precondition, the state, and the grafted direction."""
    average = exp_avg + (1 - beta3) * (updates - exp_avg)
    average = average / correction1
    exp_avg = exp_avg + (1 - beta1) * (updates - exp_avg)
    graft = average
    if exp_avg_sq is not None:
        exp_avg_sq = kept * exp_avg_sq + weight * updates * updates
        graft = average / (sqrt(exp_avg_sq / correction2) + eps)
    return average, exp_avg, exp_avg_sq, graft


def _inverse_roots(order: int, eps: Value, matrices: Array) -> tuple[Array]:
    """The inverse roots of order ``2 * order`` of positive matrices."""
    values, vectors = jnp.linalg.eigh(matrices)
    smallest = jnp.minimum(jnp.min(values, axis=-1, keepdims=True), 0)
    floored = values - smallest + lax.convert_element_type(eps, values.dtype)
    roots = floored ** (-1 / (2 * order))
    return (from_eigenvalues(vectors, roots),)


def _eigenvectors_of(matrices: Array) -> tuple[Array]:
    return (jnp.linalg.eigh(matrices)[1],)


def _size(x: Array) -> Array:
    return sqrt(jnp.sum(x * x))


@transformation
class scale_by_shampoo(GradientTransformation):
    """Average the gradients, and multiply each axis by an inverse root.

    The rule: see `shampoo`. All factors of one size are decomposed as one batch.

    **Arguments:**

    - ``betas``, ``eps``, ``beta3``, ``max_preconditioner_dim``,
      ``precondition_frequency``, ``start_preconditioning_step``,
      ``target_parameter_dimensionality``, ``use_bias_correction``, ``grafting``,
      ``grafting_beta2``, ``grafting_eps``, ``eigenvalue_corrected``: see `shampoo`.

    **State:** `ScaleByShampooState`.

    **Raises:** what `shampoo` does.
    """

    betas: tuple[Value, Value] = (0.9, 1.0)
    eps: Value = 1e-12
    beta3: Value | None = None
    max_preconditioner_dim: int = static(default=1024)
    precondition_frequency: int = static(default=1)
    start_preconditioning_step: int | None = static(default=None)
    target_parameter_dimensionality: int = static(default=1)
    use_bias_correction: bool = static(default=True)
    grafting: str | None = static(default=None)
    grafting_beta2: Value = 0.999
    grafting_eps: Value = 1e-8
    eigenvalue_corrected: bool = static(default=False)

    def __post_init__(self) -> None:
        check_pair("betas", self.betas)
        check_range("betas[0]", self.betas[0], at_least=0, below=1)
        # 1 means a sum without decay.
        check_range("betas[1]", self.betas[1], above=0, at_most=1)
        check_range("eps", self.eps, above=0)
        if self.beta3 is not None:
            check_range("beta3", self.beta3, at_least=0, below=1)
        for name, least in (
            ("max_preconditioner_dim", 1),
            ("precondition_frequency", 1),
            ("target_parameter_dimensionality", 1),
        ):
            check_integer(name, getattr(self, name), at_least=least)
        start = self.start_preconditioning_step
        if start is not None:
            check_integer("start_preconditioning_step", start, at_least=1)
        check_choice("grafting", self.grafting, GRAFTINGS)
        check_range("grafting_beta2", self.grafting_beta2, at_least=0, below=1)
        check_range("grafting_eps", self.grafting_eps, at_least=0)

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape in which a leaf is divided into blocks."""
        axes = self.target_parameter_dimensionality
        return merged_shape(shape, self.max_preconditioner_dim, axes=axes)

    def _has_squares(self) -> bool:
        return self.grafting not in (None, "sgd")

    def init(self, params: PyTree) -> ScaleByShampooState:
        check_real(params, ("shampoo", "parameters"))

        def factors(scale: float) -> PyTree:
            def of_leaf(leaf: Any) -> Blocks:
                shape = self._shape(jnp.shape(leaf))
                return [
                    [
                        scaled_identity(x.stop - x.start, leaf, scale, shape, i)
                        for i, x in enumerate(block)
                    ]
                    for block in block_slices(shape, self.max_preconditioner_dim)
                ]

            return jax.tree.map(of_leaf, params)

        corrects = self.eigenvalue_corrected
        return ScaleByShampooState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params) if self._has_squares() else None,
            factor_matrices=factors(0.0),
            inv_factor_matrices=None if corrects else factors(1.0),
            factor_matrices_eigenvectors=factors(1.0) if corrects else None,
            corrected_eigenvalues=zeros_like(params) if corrects else None,
        )

    @on_whole_leaves(*ScaleByShampooState._fields, "params")
    def update(
        self,
        updates: PyTree,
        state: ScaleByShampooState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByShampooState]:
        check_real(updates, ("shampoo", "gradients"))
        check_shapes(updates, state.exp_avg, ("updates", "exp_avg"))
        option = "eigenvalue_corrected"
        check_option(self, option, state.corrected_eigenvalues, state.exp_avg)
        step = increment(state.step)
        averages, exp_avg, exp_avg_sq, grafts = self._averaged(updates, state, step)
        treedef: Any
        leaves, treedef = jax.tree.flatten(updates)
        corrects = self.eigenvalue_corrected
        last = state[5] if corrects else state[4]
        sums, bases, means, grafts = (
            treedef.flatten_up_to(tree)
            for tree in (state.factor_matrices, last, averages, grafts)
        )
        scalars = self._scalars(step)
        factors = [
            self._summed(leaf, blocks, scalars)
            for leaf, blocks in zip(leaves, sums, strict=True)
        ]
        bases = self._renewed(step, factors, bases, scalars.correction)
        eigenvalues = None
        if corrects:
            old = treedef.flatten_up_to(state.corrected_eigenvalues)
            rows = zip(leaves, means, bases, old, strict=True)
            pairs = [self._corrected(*row, scalars) for row in rows]
            eigenvalues = treedef.unflatten(e for _, e in pairs)
            blocks = [own for own, _ in pairs]
        else:
            blocks = list(map(self._preconditioned, means, bases))
        directions = list(map(partial(self._direction, step), means, grafts, blocks))
        new = treedef.unflatten(bases)
        return treedef.unflatten(directions), ScaleByShampooState(
            step,
            exp_avg,
            exp_avg_sq,
            treedef.unflatten(factors),
            None if corrects else new,
            new if corrects else None,
            eigenvalues,
        )

    def _averaged(
        self, updates: PyTree, state: ScaleByShampooState, step: Array
    ) -> tuple[PyTree, PyTree, PyTree, PyTree]:
        beta1 = self.betas[0]
        beta3 = beta1 if self.beta3 is None else self.beta3
        # 1 - beta3 * beta1^(t-1), without the power of a step that is 0.
        lacking = as_scalar(beta3) * (1 - one_minus_power(beta1, step - 1))
        first = step == 1
        lacking = jnp.where(first, as_scalar(beta3), lacking)
        decays = self.grafting in ("rmsprop", "adam")
        beta2 = self.grafting_beta2
        corrects = self.grafting == "adam"
        results: tuple[PyTree, PyTree, PyTree, PyTree] = _moments(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            updates,
            beta1=beta1,
            beta3=beta3,
            correction1=1 - lacking if self.use_bias_correction else 1.0,
            kept=beta2 if decays else 1.0,
            weight=1 - beta2 if decays else 1.0,
            correction2=one_minus_power(beta2, step) if corrects else 1.0,
            eps=self.grafting_eps,
            grafting=self.grafting,
        )
        return results

    def _scalars(self, step: Array) -> _Scalars:
        beta2 = as_scalar(self.betas[1])
        is_sum = beta2 == 1
        correction = jnp.ones_like(beta2)
        if self.use_bias_correction:
            correction = jnp.where(is_sum, 1, one_minus_power(self.betas[1], step))
        return _Scalars(jnp.where(is_sum, 1, 1 - beta2), beta2, correction)

    def _summed(self, leaf: Array, blocks: Blocks, scalars: _Scalars) -> Blocks:
        """The factors of a leaf including its newest gradient."""
        dtype = compute_dtype(leaf.dtype)
        weight, kept = (lax.convert_element_type(x, dtype) for x in scalars[:2])
        return [
            [
                kept * old + weight * laid_like(gram(block, i), old)
                for i, old in enumerate(own)
            ]
            for block, own in zip(self._blocks(leaf), blocks, strict=True)
        ]

    def _renewed(
        self,
        step: Array,
        factors: list[Blocks],
        inverses: list[Blocks],
        correction: Array,
    ) -> list[Blocks]:
        """The inverse roots or eigenvectors, recomputed if they are due."""
        frequency = self.precondition_frequency
        start = self.start_preconditioning_step or frequency
        is_due = (step == start) | ((step > start) & (step % frequency == 0))

        def computed() -> list[Blocks]:
            flat = [
                (len(block), x / lax.convert_element_type(correction, x.dtype))
                for blocks in factors
                for block in blocks
                for x in block
            ]
            found: dict[int, Any] = {}
            for order in {order for order, _ in flat}:
                numbers = [i for i, (k, _) in enumerate(flat) if k == order]
                rule: Any = partial(_inverse_roots, order, self.eps)
                if self.eigenvalue_corrected:
                    rule = _eigenvectors_of
                results = apply_alike(rule, [(flat[i][1],) for i in numbers])
                found |= dict(zip(numbers, results, strict=True))
            rest = (found[i][0] for i in range(len(flat)))
            return [
                [[laid_like(next(rest), old) for old in block] for block in blocks]
                for blocks in inverses
            ]

        renewed: list[Blocks] = lax.cond(is_due, computed, lambda: inverses)
        return renewed

    def _blocks(self, leaf: Array) -> list[Array]:
        """A leaf divided into its blocks."""
        shape = self._shape(leaf.shape)
        tensor = whole(leaf).astype(compute_dtype(leaf.dtype)).reshape(shape)
        return [tensor[x] for x in block_slices(shape, self.max_preconditioner_dim)]

    def _whole(self, blocks: list[Array], like: Array) -> Array:
        """The leaf that consists of these blocks."""
        if not blocks:
            return like
        shape = self._shape(like.shape)
        result = joined_blocks(blocks, shape, self.max_preconditioner_dim)
        return result.reshape(like.shape).astype(like.dtype)

    def _preconditioned(self, mean: Array, inverses: Blocks) -> list[Array]:
        """A leaf's blocks, each axis multiplied by its inverse root."""
        return list(map(multiply_axes, self._blocks(mean), map(whole_each, inverses)))

    def _corrected(
        self,
        grad: Array,
        mean: Array,
        bases: Blocks,
        eigenvalues: Array,
        scalars: _Scalars,
    ) -> tuple[list[Array], Array]:
        """A leaf's blocks, divided in their eigenbases, and the mean squares there."""
        directions, squares = [], []
        leaves = (self._blocks(x) for x in (grad, mean, eigenvalues))
        for x, m, e, basis in zip(*leaves, map(whole_each, bases), strict=True):
            weight, kept, correction, eps = (
                lax.convert_element_type(y, x.dtype) for y in (*scalars, self.eps)
            )
            e = kept * e + weight * multiply_axes(x, basis) ** 2
            quotient = multiply_axes(m, basis) / (sqrt(e / correction) + eps)
            directions.append(multiply_axes(quotient, transpose_each(basis)))
            squares.append(e)
        return directions, self._whole(squares, eigenvalues)

    def _direction(
        self, step: Array, mean: Array, graft: Array, blocks: list[Array]
    ) -> Array:
        """A leaf's direction with the size of the grafted one."""
        start = self.start_preconditioning_step or self.precondition_frequency
        if self.grafting is not None:
            blocks = [
                jnp.where(step < start, g, _size(g) / (_size(x) + 1e-16) * x)
                for g, x in zip(self._blocks(graft), blocks, strict=True)
            ]
        return self._whole(blocks, mean)


@factory
def shampoo(
    lr: Hyperparameter = 1e-2,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 1.0),
    eps: Hyperparameter = 1e-12,
    weight_decay: Hyperparameter = 0.0,
    *,
    beta3: Hyperparameter | None = None,
    max_preconditioner_dim: int = 1024,
    precondition_frequency: int = 1,
    start_preconditioning_step: int | None = None,
    target_parameter_dimensionality: int = 1,
    use_bias_correction: bool = True,
    grafting: str | None = None,
    grafting_beta2: Hyperparameter = 0.999,
    grafting_eps: Hyperparameter = 1e-8,
    eigenvalue_corrected: bool = False,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Gradients divided by a Kronecker product of the roots of their second moments.

    For a matrix::

        M = betas[0] * M + (1 - betas[0]) * g,   m = M / (1 - betas[0]^t)
        L = betas[1] * L + (1 - betas[1]) * g g^T       (betas[1] = 1: the sum)
        R = betas[1] * R + (1 - betas[1]) * g^T g
        D = (L / c + eps)^(-1/4) m (R / c + eps)^(-1/4),   c = 1 - betas[1]^t
        D = D * ||graft(m)|| / ||D||                    (with grafting)
        u = -lr * (D + weight_decay * p)

    and in the same way for ``k`` axes, with powers of ``-1 / (2 k)``. Negative
    eigenvalues, which come from rounding, are shifted to 0, together with all others,
    before ``eps`` is added.

    Before that, axes of size 1 are removed, neighboring axes are joined while their
    product is at most ``max_preconditioner_dim``, and longer axes are divided into
    blocks, which are treated separately. By default, **a small matrix becomes a
    vector** with one full factor: use ``target_parameter_dimensionality=2`` to keep
    matrices as matrices.

    With ``eigenvalue_corrected``, the factors only provide the bases ``Q1`` and ``Q2``
    of their eigenvectors, and the squares of the gradient are averaged there::

        E = betas[1] * E + (1 - betas[1]) * (Q1^T g Q2)^2
        D = Q1 (Q1^T m Q2 / (sqrt(E / c) + eps)) Q2^T

    This is `soap`, but it starts with the first step and does not rotate ``m``.

    Grafting takes the size of a step from another optimizer, so that you can use its
    learning rate; before ``start_preconditioning_step``, it also takes the direction.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the mean, in [0, 1), and of the products, in (0, 1]; 1
      means sums.
    - ``eps``: added to the eigenvalues, above 0.
    - ``weight_decay``: decoupled decay, in units of ``lr``; `assemble` has others.
    - ``beta3``: the weight of the old mean in the average to precondition; None:
      ``betas[0]``, which gives the new mean.
    - ``max_preconditioner_dim``: the largest side of a block.
    - ``precondition_frequency``: the number of steps between computations of the roots;
      the steps in between need no decomposition.
    - ``start_preconditioning_step``: the first step that uses them; None:
      ``precondition_frequency``.
    - ``target_parameter_dimensionality``: the minimum number of axes after joining.
    - ``use_bias_correction``: whether to debias the averages.
    - ``grafting``: None, ``"sgd"`` (``m``), ``"adagrad"``, ``"rmsprop"`` or ``"adam"``.
    - ``grafting_beta2``: the decay rate of the last two's squares, in [0, 1).
    - ``grafting_eps``: added to their root.
    - ``eigenvalue_corrected``: divide in the eigenbases of the factors; ``eps`` is then
      added to the root, and 1e-8 is more usual.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    All numbers except the counts may be arrays or schedules.

    **State:** `ScaleByShampooState`. Under `jax.vmap`, every step costs as much as one
    with a decomposition. On a mesh, the factors are sharded like those of `soap`.

    **Raises:** `ValueError` for a number out of range; `TypeError` for complex
    parameters and for sparse gradients.

    **Source:** Gupta, Koren and Singer, "Shampoo: Preconditioned Stochastic Tensor
    Optimization", ICML 2018, [arXiv:1802.09568](https://arxiv.org/abs/1802.09568); as
    in Shi et al., "A Distributed Data-Parallel PyTorch Implementation of the
    Distributed Shampoo Optimizer", 2023,
    [arXiv:2309.06497](https://arxiv.org/abs/2309.06497).
    """
    direction = scale_by_shampoo(
        betas,
        eps,
        beta3,
        max_preconditioner_dim,
        precondition_frequency,
        start_preconditioning_step,
        target_parameter_dimensionality,
        use_bias_correction,
        grafting,
        grafting_beta2,
        grafting_eps,
        eigenvalue_corrected,
    )
    return assemble(
        direction, lr=lr, weight_decay=weight_decay, mask=mask, maximize=maximize
    )
