"""Shampoo."""

import itertools
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_choice, check_integer, check_pair, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import leafwise
from .._numerics import as_scalar, increment, one_minus_power, sqrt
from .._placement import on_whole_leaves, zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, check_real, check_shapes, compute_dtype
from ..linalg._kronecker import apply_alike, gram, multiply_axes
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factors import merged_shape, scaled_identity
from ._factory import factory

GRAFTINGS = (None, "sgd", "adagrad", "rmsprop", "adam")
# For each block of a leaf a list with a matrix for each axis.
Blocks = list[list[Array]]
Slices = tuple[slice, ...]


class ScaleByShampooState(NamedTuple):
    """State of `scale_by_shampoo`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: for each parameter the average of the gradients, from 0.
    - ``exp_avg_sq``: the sum or the average of their squares; None unless ``grafting``
      is ``"adagrad"``, ``"rmsprop"`` or ``"adam"``.
    - ``factor_matrices``: for each parameter a list with, for each of its blocks, a
      list with, for each axis, the sum or the average of the gradient's products with
      itself over the other axes, in float32 at least.
    - ``inv_factor_matrices``: likewise the inverse roots of these, as last computed.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative | None, Keeps("betas", 1)]
    factor_matrices: PerParameter
    inv_factor_matrices: PerParameter


class _Scalars(NamedTuple):
    """What all leaves share in a step."""

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
    """The average to be preconditioned, the state, and the grafted direction."""
    average = exp_avg + (1 - beta3) * (updates - exp_avg)
    average = average / correction1
    exp_avg = exp_avg + (1 - beta1) * (updates - exp_avg)
    graft = average
    if exp_avg_sq is not None:
        exp_avg_sq = kept * exp_avg_sq + weight * updates * updates
        graft = average / (sqrt(exp_avg_sq / correction2) + eps)
    return average, exp_avg, exp_avg_sq, graft


def _slices(shape: tuple[int, ...], largest: int) -> list[Slices]:
    """The blocks of a tensor, none of whose sides is above ``largest``."""
    if 0 in shape:
        return []
    sides = [
        [slice(i, min(i + largest, n)) for i in range(0, n, largest)] for n in shape
    ]
    return list(itertools.product(*sides))


def _joined(blocks: list[Array], shape: tuple[int, ...], largest: int) -> Array:
    """The tensor that was cut into ``blocks``.

    Put together and not written into one: XLA has been seen to misplace blocks of a
    sharded array that do not divide it.
    """
    for axis in reversed(range(len(shape))):
        count = -(-shape[axis] // largest)
        rows = [blocks[i : i + count] for i in range(0, len(blocks), count)]
        blocks = [jnp.concatenate(row, axis) for row in rows]
    return blocks[0]


def _inverse_roots(order: int, eps: Value, matrices: Array) -> tuple[Array]:
    """The inverse roots of order ``2 * order`` of positive matrices."""
    values, vectors = jnp.linalg.eigh(matrices)
    smallest = jnp.minimum(jnp.min(values, axis=-1, keepdims=True), 0)
    floored = values - smallest + lax.convert_element_type(eps, values.dtype)
    roots = floored ** (-1 / (2 * order))
    scaled = vectors * roots[..., None, :]
    product = jnp.matmul(scaled, jnp.swapaxes(vectors, -2, -1), precision="highest")
    return (product,)


def _size(x: Array) -> Array:
    return sqrt(jnp.sum(x * x))


@transformation
class scale_by_shampoo(GradientTransformation):
    """Average the gradients, and multiply each axis by the root of an inverse.

    The rule: see `shampoo`. All factors of one size are decomposed as one batch.

    **Arguments:**

    - ``betas``, ``eps``, ``beta3``, ``max_preconditioner_dim``,
      ``precondition_frequency``, ``start_preconditioning_step``,
      ``target_parameter_dimensionality``, ``use_bias_correction``, ``grafting``,
      ``grafting_beta2``, ``grafting_eps``: see `shampoo`.

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

    def __post_init__(self) -> None:
        check_pair("betas", self.betas)
        check_range("betas[0]", self.betas[0], at_least=0, below=1)
        # 1 stands for a sum without decay.
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
        """The shape in which a leaf is cut into blocks."""
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
                    [scaled_identity(x.stop - x.start, leaf, scale) for x in block]
                    for block in _slices(shape, self.max_preconditioner_dim)
                ]

            return jax.tree.map(of_leaf, params)

        return ScaleByShampooState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params) if self._has_squares() else None,
            factor_matrices=factors(0.0),
            inv_factor_matrices=factors(1.0),
        )

    @on_whole_leaves
    def update(
        self,
        updates: PyTree,
        state: ScaleByShampooState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByShampooState]:
        check_real(updates, ("shampoo", "gradients"))
        check_shapes(updates, state.exp_avg, ("updates", "exp_avg"))
        step = increment(state.step)
        averages, exp_avg, exp_avg_sq, grafts = self._averaged(updates, state, step)
        treedef: Any
        leaves, treedef = jax.tree.flatten(updates)
        columns = [treedef.flatten_up_to(tree) for tree in state[3:]]
        scalars = self._scalars(step)
        factors = [
            self._summed(leaf, blocks, scalars)
            for leaf, blocks in zip(leaves, columns[0], strict=True)
        ]
        inverses = self._renewed(step, factors, columns[1], scalars.correction)
        rows = zip(
            treedef.flatten_up_to(averages),
            treedef.flatten_up_to(grafts),
            inverses,
            strict=True,
        )
        directions = [self._direction(*row, step) for row in rows]
        return treedef.unflatten(directions), ScaleByShampooState(
            step,
            exp_avg,
            exp_avg_sq,
            treedef.unflatten(factors),
            treedef.unflatten(inverses),
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
        """The factors of a leaf with its newest gradient in them."""
        shape = self._shape(leaf.shape)
        tensor = leaf.astype(compute_dtype(leaf.dtype)).reshape(shape)
        slices = _slices(shape, self.max_preconditioner_dim)
        weight, kept = (lax.convert_element_type(x, tensor.dtype) for x in scalars[:2])
        return [
            [kept * old + weight * gram(tensor[block], i) for i, old in enumerate(own)]
            for block, own in zip(slices, blocks, strict=True)
        ]

    def _renewed(
        self,
        step: Array,
        factors: list[Blocks],
        inverses: list[Blocks],
        correction: Array,
    ) -> list[Blocks]:
        """The inverse roots, of now where they are due."""
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
                results = apply_alike(
                    lambda x, k=order: _inverse_roots(k, self.eps, x),
                    [(flat[i][1],) for i in numbers],
                )
                found |= dict(zip(numbers, results, strict=True))
            rest = (found[i][0] for i in range(len(flat)))
            return [[[next(rest) for _ in b] for b in blocks] for blocks in factors]

        renewed: list[Blocks] = lax.cond(is_due, computed, lambda: inverses)
        return renewed

    def _direction(
        self, average: Array, graft: Array, inverses: Blocks, step: Array
    ) -> Array:
        """A leaf's direction, block by block."""
        shape = self._shape(average.shape)
        dtype = compute_dtype(average.dtype)
        tensor, grafted = (x.astype(dtype).reshape(shape) for x in (average, graft))
        start = self.start_preconditioning_step or self.precondition_frequency
        if tensor.size == 0:
            return average
        results = []
        slices = _slices(shape, self.max_preconditioner_dim)
        for block, factors in zip(slices, inverses, strict=True):
            new = multiply_axes(tensor[block], factors)
            if self.grafting is not None:
                new *= _size(grafted[block]) / (_size(new) + 1e-16)
                new = jnp.where(step < start, grafted[block], new)
            results.append(new)
        result = _joined(results, shape, self.max_preconditioner_dim)
        return result.reshape(average.shape).astype(average.dtype)


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

    and likewise for ``k`` axes, with powers of ``-1 / (2 k)``. Negative eigenvalues,
    which are rounding, are brought to 0 by a shift of all before ``eps`` is added.

    Before that, a leaf loses axes of size 1, neighbors are joined while they are at
    most ``max_preconditioner_dim`` together, and what is then longer along an axis is
    cut into blocks, each of which is treated by itself. By default **a small matrix
    becomes a vector** with one full factor: give ``target_parameter_dimensionality=2``
    to let matrices be matrices.

    Grafting takes the size of a step from another optimizer, whose learning rate then
    serves here; before ``start_preconditioning_step`` it also takes the direction.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the mean, in [0, 1), and of the products, in (0, 1];
      1 stands for sums.
    - ``eps``: added to the eigenvalues, above 0.
    - ``weight_decay``: decoupled decay, in units of ``lr``; `assemble` has others.
    - ``beta3``: the weight of the old mean where it meets the gradient to be
      preconditioned; None: ``betas[0]``, which gives the new mean.
    - ``max_preconditioner_dim``: the largest side of a block.
    - ``precondition_frequency``: every how many steps the roots are computed; the steps
      between have no decomposition.
    - ``start_preconditioning_step``: the first step that has them; None:
      ``precondition_frequency``.
    - ``target_parameter_dimensionality``: how many axes joining leaves at least.
    - ``use_bias_correction``: whether to correct the averages for starting at 0.
    - ``grafting``: None, ``"sgd"`` (``m``), ``"adagrad"``, ``"rmsprop"`` or ``"adam"``.
    - ``grafting_beta2``: the decay rate of the last two's squares, in [0, 1).
    - ``grafting_eps``: added to the root of the squares.
    - ``mask``: which parameters decay, as `assemble` takes it; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number but the counts may be an array or a schedule.

    **State:** `ScaleByShampooState`. Under `jax.vmap` every step costs what one with a
    decomposition does. The factors are whole on each device; on a mesh with explicit
    axes so must be the leaves (`jax.sharding.reshard` first).

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
    )
    return assemble(
        direction, lr=lr, weight_decay=weight_decay, mask=mask, maximize=maximize
    )
