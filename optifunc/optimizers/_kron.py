"""Kron: PSGD with a Kronecker product of triangular factors."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_choice, check_integer, check_range, check_whole
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._numerics import as_scalar, increment, one_minus_power, sqrt
from .._placement import laid_like, on_whole_leaves, whole, zeros_like
from .._state import PerAxis, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, check_real, compute_dtype, flatten_like
from ..linalg._kronecker import apply_alike, gram
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._averages import average_gradients
from ._factors import laid_beside, scaled_identity
from ._factory import factory

MEMORY_SAVE_MODES = (None, "one_diag", "smart_one_diag", "all_diag")
# The spacing of float32 at 1, for any dtype, because the noise is part of the rule.
_RELATIVE_NOISE = math.sqrt(1.1920928955078125e-07)


class ScaleByKronState(NamedTuple):
    """State of `scale_by_kron`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``update_counter``: int32 [], updates since the factors were last updated.
    - ``key``: uint32 [2], the key of the whole run.
    - ``momentum_buffer``: the average of each parameter's gradients, from 0.
    - ``Q``: a list for each parameter with, for each axis, an upper triangular matrix
      or, as a vector, a diagonal one; in at least float32.
    """

    step: Shared
    update_counter: Shared
    key: Shared
    momentum_buffer: PerParameter
    Q: PerAxis


def _along(vector: Array, axis: int, axes: int) -> Array:
    """A vector as a tensor with ``axes`` axes, along one of them."""
    return vector.reshape([-1 if i == axis else 1 for i in range(axes)])


def _multiplied(tensor: Array, factors: list[Array], *, transposed: bool) -> Array:
    """Each axis times its factor, or its factor's transpose."""
    for axis, q in enumerate(factors):
        if q.ndim == 1:
            tensor = tensor * _along(q, axis, tensor.ndim)
        else:
            side = 0 if transposed else 1
            product = jnp.tensordot(tensor, q, axes=(axis, side), precision="highest")
            tensor = jnp.moveaxis(product, -1, axis)
    return tensor


def _solved(tensor: Array, factors: list[Array]) -> Array:
    """Each axis times the inverse transpose of its factor."""
    for axis, q in enumerate(factors):
        if q.ndim == 1:
            tensor = tensor / _along(q, axis, tensor.ndim)
            continue
        columns = jnp.moveaxis(tensor, axis, 0)
        flat = columns.reshape(len(columns), -1)
        solved = jax.scipy.linalg.solve_triangular(q, flat, trans="T")
        tensor = jnp.moveaxis(solved.reshape(columns.shape), 0, axis)
    return tensor


def _norm_lower_bound(matrix: Array) -> Array:
    """A close lower bound of the spectral norm of a symmetric matrix."""
    largest = jnp.max(jnp.abs(matrix))
    scale = jnp.where(largest > 0, largest, 1)
    scaled = matrix / scale
    column = scaled[:, jnp.argmax(jnp.sum(scaled * scaled, axis=0))]
    x = jnp.matmul(column, scaled, precision="highest")
    norm = sqrt(jnp.sum(x * x))
    x = x / jnp.where(norm > 0, norm, 1)
    x = jnp.matmul(scaled, x, precision="highest")
    return largest * sqrt(jnp.sum(x * x))


def _fitted(
    gradient: Array, probe: Array, factors: list[Array], rate: Array
) -> tuple[Array, ...]:
    """A gradient with noise, and factors that fit it better."""
    if gradient.ndim > 1:
        # Their product does not change.
        sizes = [jnp.max(jnp.abs(q)) for q in factors]
        mean = jnp.exp(sum(map(jnp.log, sizes), jnp.zeros_like(rate)) / len(sizes))
        factors = [q * (mean / n) for q, n in zip(factors, sizes, strict=True)]
    noise = _RELATIVE_NOISE * jnp.mean(jnp.abs(gradient))
    gradient = gradient + noise * probe
    seen = _multiplied(gradient, factors, transposed=False)
    wanted = _solved(probe, factors)
    new = []
    for axis, q in enumerate(factors):
        if q.ndim == 1:
            others = [i for i in range(seen.ndim) if i != axis]
            x = jnp.sum(seen * seen, axis=others)
            y = jnp.sum(wanted * wanted, axis=others)
            size = jnp.max(jnp.abs(x + y))
            new.append(q - rate * (x - y) * q / jnp.where(size > 0, size, 1))
            continue
        x, y = gram(seen, axis), gram(wanted, axis)
        size = _norm_lower_bound(x + y)
        change = jnp.triu(rate * (x - y)) / jnp.where(size > 0, size, 1)
        new.append(q - jnp.matmul(change, q, precision="highest"))
    return gradient, *new


def _preconditioned(gradient: Array, factors: list[Array]) -> Array:
    """``Q^T Q`` of every axis times the gradient, of a bounded size."""
    result = _multiplied(gradient, factors, transposed=False)
    result = _multiplied(result, factors, transposed=True)
    rms = sqrt(jnp.mean(result * result))
    return jnp.minimum(1, 1.1 / (rms + 1e-12)) * result


@transformation
class scale_by_kron(GradientTransformation):
    """Average the gradients, and whiten the averages.

    The rule: see `kron`. All leaves of one shape are one batch.

    **Arguments:**

    - ``beta1``, ``preconditioner_update_probability``, ``max_size_triangular``,
      ``min_ndim_triangular``, ``memory_save_mode``, ``momentum_into_precond_update``,
      ``precond_lr``, ``precond_init_scale``, ``merge_dims``, ``seed``: see `kron`.

    **State:** `ScaleByKronState`.

    **Raises:** what `kron` does.
    """

    beta1: Value = 0.9
    preconditioner_update_probability: Value | None = None
    max_size_triangular: int = static(default=8192)
    min_ndim_triangular: int = static(default=2)
    memory_save_mode: str | None = static(default=None)
    momentum_into_precond_update: bool = static(default=True)
    precond_lr: Value = 0.1
    precond_init_scale: Value = 1.0
    merge_dims: bool = static(default=True)
    seed: Value = 0

    def __post_init__(self) -> None:
        check_range("beta1", self.beta1, at_least=0, below=1)
        probability = self.preconditioner_update_probability
        if probability is not None:
            name = "preconditioner_update_probability"
            check_range(name, probability, above=0, at_most=1)
        check_integer("max_size_triangular", self.max_size_triangular, at_least=0)
        check_integer("min_ndim_triangular", self.min_ndim_triangular, at_least=0)
        check_choice("memory_save_mode", self.memory_save_mode, MEMORY_SAVE_MODES)
        check_range("precond_lr", self.precond_lr, at_least=0)
        check_range("precond_init_scale", self.precond_init_scale, above=0)
        check_whole("seed", self.seed, at_least=0)

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape in which a leaf has factors."""
        if len(shape) < 2 or not self.merge_dims:
            return shape or (1,)
        ways = (math.prod(shape[:-1]), shape[-1]), (shape[0], math.prod(shape[1:]))
        return min(ways, key=lambda way: max(way) / max(min(way), 1))

    def _are_triangular(self, shape: tuple[int, ...]) -> list[bool]:
        """For each axis whether its factor is triangular, not diagonal."""
        mode, ordered = self.memory_save_mode, sorted(shape)
        spared = None
        is_longest = len(shape) > 1 and ordered[-1] > ordered[-2]
        if mode == "one_diag" or (mode == "smart_one_diag" and is_longest):
            spared = max(range(len(shape)), key=lambda i: (shape[i], i))
        return [
            1 < n <= self.max_size_triangular
            and len(shape) >= self.min_ndim_triangular
            and mode != "all_diag"
            and i != spared
            for i, n in enumerate(shape)
        ]

    def init(self, params: PyTree) -> ScaleByKronState:
        check_real(params, ("kron", "parameters"))

        def factors(leaf: Any) -> list[Array]:
            shape = self._shape(jnp.shape(leaf))
            dtype = compute_dtype(leaf.dtype)
            scale = as_scalar(self.precond_init_scale) ** (1 / len(shape))
            scale = lax.convert_element_type(scale, dtype)
            rows = enumerate(zip(shape, self._are_triangular(shape), strict=True))
            found = []
            for i, (n, is_triangular) in rows:
                if is_triangular:
                    found.append(scaled_identity(n, leaf, scale, shape, i))
                else:
                    vector = jnp.broadcast_to(scale, n)
                    found.append(laid_beside(vector, leaf, shape, i))
            return found

        key = jax.random.key_data(jax.random.key(self.seed, impl="threefry2x32"))
        return ScaleByKronState(
            step=jnp.zeros((), jnp.int32),
            update_counter=jnp.zeros((), jnp.int32),
            key=key,
            momentum_buffer=zeros_like(params),
            Q=jax.tree.map(factors, params),
        )

    @on_whole_leaves("momentum_buffer", "Q", "params")
    def update(
        self,
        updates: PyTree,
        state: ScaleByKronState,
        params: PyTree | None = None,
        *,
        probes: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByKronState]:
        check_real(updates, ("kron", "gradients"))
        step, counter = increment(state.step), increment(state.update_counter)
        means, buffer = average_gradients(
            updates,
            state.momentum_buffer,
            weight=1 - self.beta1,
            average_share=1 / one_minus_power(self.beta1, step),
            gradient_share=0.0,
            nesterov=False,
        )
        treedef: Any
        leaves, treedef = jax.tree.flatten(updates)
        averages, factors = map(treedef.flatten_up_to, (means, state.Q))

        def seen(leaf: Array) -> Array:
            dtype = compute_dtype(leaf.dtype)
            return whole(leaf).astype(dtype).reshape(self._shape(leaf.shape))

        averages = [seen(x) for x in averages]
        grads = averages
        if not self.momentum_into_precond_update:
            grads = [seen(x) for x in leaves]
        if probes is not None:
            probes = flatten_like(probes, updates, ("probes", "updates"))

        is_due = as_scalar(counter) >= 1 / self._probability(state.step)
        given, factors = lax.cond(
            is_due,
            lambda: self._updated(state, averages, grads, factors, probes),
            lambda: (averages, factors),
        )
        found = apply_alike(
            jax.vmap(lambda x, *q: (_preconditioned(x, list(q)),)),
            [(x, *q) if x.size else None for x, q in zip(given, factors, strict=True)],
        )
        directions = [
            x if new is None else new[0].reshape(x.shape).astype(x.dtype)
            for x, new in zip(leaves, found, strict=True)
        ]
        return treedef.unflatten(directions), ScaleByKronState(
            step,
            jnp.where(is_due, 0, counter),
            state.key,
            buffer,
            treedef.unflatten(factors),
        )

    def _probability(self, step: Array) -> Array:
        given = self.preconditioner_update_probability
        if given is not None:
            return as_scalar(given)
        return jnp.clip(jnp.exp(-0.001 * (as_scalar(step) - 500)), 0.03, 1)

    def _updated(
        self,
        state: ScaleByKronState,
        averages: list[Array],
        grads: list[Array],
        factors: list[list[Array]],
        probes: list[Any] | None,
    ) -> tuple[list[Array], list[list[Array]]]:
        """The tensor to precondition, with noise, and factors that fit it better."""
        if probes is None:
            key = jax.random.wrap_key_data(state.key, impl="threefry2x32")
            keys = jax.random.split(jax.random.fold_in(key, state.step), len(grads))
            # The same numbers for every dtype.
            probes = [
                jax.random.normal(k, x.shape, jnp.float32)
                for k, x in zip(keys, grads, strict=True)
            ]
        rate = self.precond_lr

        def rule(x: Array, probe: Array, *q: Array) -> tuple[Array, ...]:
            own = lax.convert_element_type(rate, x.dtype)
            return _fitted(x, probe, list(q), own)

        columns = zip(grads, probes, factors, strict=True)
        found = apply_alike(
            jax.vmap(rule),
            [
                (x, v.astype(x.dtype).reshape(x.shape), *q) if x.size else None
                for x, v, q in columns
            ],
        )
        given, fitted = [], []
        for x, q, new in zip(averages, factors, found, strict=True):
            is_noisy = new is not None and self.momentum_into_precond_update
            given.append(new[0] if new is not None and is_noisy else x)
            fitted.append(q if new is None else [*map(laid_like, new[1:], q)])
        return given, fitted


def _has_several_axes(path: str, leaf: Any) -> bool:
    return bool(jnp.ndim(leaf) > 1)


@factory
def kron(
    lr: Hyperparameter = 3e-4,
    beta1: Hyperparameter = 0.9,
    weight_decay: Hyperparameter = 0.0,
    preconditioner_update_probability: Hyperparameter | None = None,
    max_size_triangular: int = 8192,
    min_ndim_triangular: int = 2,
    memory_save_mode: str | None = None,
    momentum_into_precond_update: bool = True,
    *,
    precond_lr: Hyperparameter = 0.1,
    precond_init_scale: Hyperparameter = 1.0,
    merge_dims: bool = True,
    seed: int | Array = 0,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """PSGD: a preconditioner fitted to the gradients step by step, without inverses.

    For a matrix, with upper triangular ``Q1`` and ``Q2``, when an update is due::

        m = beta1 * m + (1 - beta1) * g
        X = m / (1 - beta1^t)
        X = X + 3.5e-4 * mean(|X|) * V,   V ~ N(0, I)             (when due)
        A = Q1 X Q2^T,   B = Q1^-T V Q2^-1                        (when due)
        Q1 = Q1 - precond_lr * triu(A A^T - B B^T) Q1 / n1        (when due)
        Q2 = Q2 - precond_lr * triu(A^T A - B^T B) Q2 / n2        (when due)
        D = Q1^T Q1 X Q2^T Q2
        D = D * min(1, 1.1 / RMS(D))
        u = -lr * (D + weight_decay * p)

    where ``n1`` is a lower bound of the norm of ``A A^T + B B^T``, and ``n2`` one of
    ``A^T A + B^T B``. Before an update, ``Q1`` and ``Q2`` are scaled to equal size,
    which does not change their product. Tensors with more axes have a factor for each,
    unless merged; an axis without a triangular factor has a diagonal one, which needs
    only the diagonals of these products.

    The factors are updated at every step at first, and at one in 33 in the end. Start
    with a third of Adam's learning rate, and a weight decay three to ten times as
    large.

    ``update`` takes the extra argument ``probes``, a tree like the updates that is used
    as ``V``; by default, it is drawn from a key in the state.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``beta1``: the decay rate of the mean, in [0, 1).
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``preconditioner_update_probability``: the fraction of steps that update the
      factors. These are evenly spaced: the inverse is the number of steps from one to
      the next. None: 1 for 500 steps, then falling to 0.03 at step 4000.
    - ``max_size_triangular``: longer axes have diagonal factors.
    - ``min_ndim_triangular``: leaves with fewer axes have diagonal factors.
    - ``memory_save_mode``: None; ``"one_diag"``, a diagonal factor for the longest
      axis; ``"smart_one_diag"``, the same unless another is as long; ``"all_diag"``.
    - ``momentum_into_precond_update``: fit the factors to ``m`` instead of ``g``.
    - ``precond_lr``: the learning rate of the factors.
    - ``precond_init_scale``: the initial product of the factors.
    - ``merge_dims``: treat a leaf with more than two axes as a matrix, of its first or
      last axis against the others, whichever is closer to square.
    - ``seed``: an integer of at least 0, from which `init` makes the key.
    - ``mask``: which parameters decay, see `assemble`; None: those with two or more
      axes.
    - ``maximize``: climb instead of descending.

    All numbers except the counts may be arrays or schedules.

    **State:** `ScaleByKronState`. On a mesh, the factors are sharded like their
    parameter, rows along the factor's own axis and columns along another, as far as
    their sizes allow, and gathered when used.

    **Raises:** `ValueError` for a number out of range; `TypeError` for complex
    parameters and for sparse gradients.

    **Source:** Li, "Preconditioned Stochastic Gradient Descent", 2015,
    [arXiv:1512.04202](https://arxiv.org/abs/1512.04202), and "Black Box Lie Group
    Preconditioners for SGD", 2022,
    [arXiv:2211.04422](https://arxiv.org/abs/2211.04422).
    """
    direction = scale_by_kron(
        beta1,
        preconditioner_update_probability,
        max_size_triangular,
        min_ndim_triangular,
        memory_save_mode,
        momentum_into_precond_update,
        precond_lr,
        precond_init_scale,
        merge_dims,
        seed,
    )
    return assemble(
        direction,
        lr=lr,
        weight_decay=weight_decay,
        mask=_has_several_axes if mask is None else mask,
        maximize=maximize,
    )
