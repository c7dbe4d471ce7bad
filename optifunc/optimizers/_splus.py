"""SPlus."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_betas, check_integer, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise, leafwise
from .._numerics import first_moment, increment, one_minus_power
from .._placement import (
    laid_like,
    on_whole_leaves,
    whole,
    wide_zeros_like,
    zeros_like,
)
from .._state import Keeps, PerAxis, PerParameter, Shared
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
from ._averages import average_gradients
from ._decay_inside import check_mask_fits, decaying, static_mask
from ._factors import flat, scaled_identity, unflat
from ._factory import factory

Sides = list[Array | None]


class StepBySplusState(NamedTuple):
    """State of `step_by_splus`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, from 0.
    - ``ema``: the average of each parameter, from 0 and not debiased, in at least
      float32.
    - ``sides``: a list for each parameter with, for each axis, the average of the
      gradient's products with itself over the other axis, in at least float32; None for
      an axis without a factor, and no axes for anything but a matrix.
    - ``q_sides``: their eigenvectors, as last computed.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    ema: PerParameter
    sides: PerAxis
    q_sides: PerAxis


@leafwise(outputs=2)
def _splus_step(
    updates: Array,
    ema: Array,
    params: Array,
    decaying: Array | None,
    *,
    lr: Array,
    weight_decay: Array,
    weight: Array,
    constant: Array,
) -> tuple[Array, Array]:
    lr = lr * 2 / max(sum(updates.shape), 1) if updates.ndim == 2 else lr * constant
    updates = -lr * updates
    ema = first_moment(ema, params + updates, weight)
    if decaying is not None:
        updates -= lr * weight_decay * (decaying + updates)
    return updates, ema


@elementwise()
def _corrected_average(
    params: Array, ema: Array, *, correction: Array, started: Array
) -> Array:
    return jnp.where(started > 0, ema / correction, params)


@transformation
class step_by_splus(GradientTransformation):
    """SPlus's step; the rule: see `splus`.

    The learning rate is an argument because the average of the parameters is taken
    between the step and the decay.

    **Arguments:**

    - ``lr``, ``betas``, ``weight_decay``, ``ema_rate``, ``inverse_steps``,
      ``nonstandard_constant``, ``max_dim``, ``eps``, ``mask``: see `splus`.

    **State:** `StepBySplusState`.

    **Raises:** what `splus` does.
    """

    lr: Value = 0.1
    betas: tuple[Value, Value] = (0.9, 0.999)
    weight_decay: Value = 0.01
    ema_rate: Value = 0.999
    inverse_steps: int = static(default=100)
    nonstandard_constant: Value = 1e-3
    max_dim: int = static(default=10000)
    eps: Value = 1e-30
    mask: Any = static(default=None)

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_betas(self.betas)
        check_range("weight_decay", self.weight_decay, at_least=0)
        check_range("ema_rate", self.ema_rate, at_least=0, below=1)
        check_integer("inverse_steps", self.inverse_steps, at_least=1)
        check_range("nonstandard_constant", self.nonstandard_constant, at_least=0)
        check_integer("max_dim", self.max_dim, at_least=0)
        check_range("eps", self.eps, at_least=0)
        object.__setattr__(self, "mask", static_mask(self.mask))

    def init(self, params: PyTree) -> StepBySplusState:
        check_real(params, ("splus", "parameters"))
        check_mask_fits(self.mask, params)

        def sides(scale: float) -> PyTree:
            def of_leaf(leaf: Any) -> Sides:
                shape = jnp.shape(leaf)
                if len(shape) != 2 or 0 in shape:
                    return []
                return [
                    scaled_identity(n, leaf, scale, shape, i)
                    if n <= self.max_dim
                    else None
                    for i, n in enumerate(shape)
                ]

            return jax.tree.map(of_leaf, params)

        return StepBySplusState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            ema=wide_zeros_like(params),
            sides=sides(0.0),
            q_sides=sides(1.0),
        )

    def evaluated(self, state: StepBySplusState, params: PyTree) -> PyTree:
        averaged: PyTree = _corrected_average(
            params,
            state.ema,
            correction=one_minus_power(self.ema_rate, jnp.maximum(state.step, 1)),
            started=state.step,
        )
        return averaged

    @on_whole_leaves(*StepBySplusState._fields, "params")
    def update(
        self,
        updates: PyTree,
        state: StepBySplusState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepBySplusState]:
        params = require_params(params, updates, "splus")
        check_real(updates, ("splus", "gradients"))
        check_shapes(updates, params, ("updates", "params"))
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
        grads, treedef = jax.tree.flatten(updates)
        sides, bases = (treedef.flatten_up_to(tree) for tree in state[3:])
        directions = [
            _in_basis(m, q)
            for m, q in zip(treedef.flatten_up_to(averages), bases, strict=True)
        ]
        sides = [
            _averaged_sides(g, old, 1 - beta2)
            for g, old in zip(grads, sides, strict=True)
        ]
        is_due = (step == 1) | (step % self.inverse_steps == 0)
        bases = lax.cond(is_due, self._decomposed, lambda _: bases, sides)
        updates, ema = _splus_step(
            treedef.unflatten(directions),
            state.ema,
            params,
            decaying(params, self.mask),
            lr=self.lr,
            weight_decay=self.weight_decay,
            weight=1 - self.ema_rate,
            constant=self.nonstandard_constant,
        )
        return updates, StepBySplusState(
            step, exp_avg, ema, treedef.unflatten(sides), treedef.unflatten(bases)
        )

    def _decomposed(self, sides: list[Sides]) -> list[Sides]:
        """The eigenvectors of the sides, those of equal size as one batch."""

        def eigenvectors(matrices: Array) -> tuple[Array]:
            eps = lax.convert_element_type(self.eps, matrices.dtype)
            identity = jnp.eye(matrices.shape[-1], dtype=matrices.dtype)
            _, vectors = jnp.linalg.eigh(matrices + eps * identity[None])
            return (vectors,)

        found = apply_alike(eigenvectors, rows_of(flat(sides)))
        rows = zip(found, flat(sides), strict=True)
        laid = [None if x is None else laid_like(x[0], old) for x, old in rows]
        return unflat(laid, sides)


def _in_basis(average: Array, basis: Sides) -> Array:
    """The signs of an average in a basis, rotated back to that of the parameter."""
    wide = whole(average).astype(compute_dtype(average.dtype))
    basis = whole_each(basis)
    signs = jnp.sign(multiply_axes(wide, basis))
    return multiply_axes(signs, transpose_each(basis)).astype(average.dtype)


def _averaged_sides(grad: Array, sides: Sides, weight: Any) -> Sides:
    """The averages of the products including the newest gradient."""

    def averaged(axis: int, old: Array | None) -> Array | None:
        if old is None:
            return None
        newest = laid_like(gram(grad.astype(old.dtype), axis), old)
        return first_moment(old, newest, lax.convert_element_type(weight, old.dtype))

    return [averaged(axis, old) for axis, old in enumerate(sides)]


@factory
def splus(
    lr: Hyperparameter = 0.1,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    weight_decay: Hyperparameter = 0.01,
    ema_rate: Hyperparameter = 0.999,
    inverse_steps: int = 100,
    nonstandard_constant: Hyperparameter = 1e-3,
    max_dim: int = 10000,
    eps: Hyperparameter = 1e-30,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """SPlus: the signs of the momentum, in the eigenbasis of Shampoo's factors.

    For a matrix, with the bases ``Q1`` and ``Q2`` of the last decomposition::

        m = betas[0] * m + (1 - betas[0]) * g
        D = Q1 sign(Q1^T m Q2) Q2^T
        L = betas[1] * L + (1 - betas[1]) * g g^T
        R = betas[1] * R + (1 - betas[1]) * g^T g
        s = lr * 2 / (rows + columns)
        p = p - s * D
        a = ema_rate * a + (1 - ema_rate) * p
        p = p - s * weight_decay * p

    and at the first step, then every ``inverse_steps`` steps, ``Q1`` and ``Q2`` become
    the eigenvectors of ``L + eps`` and ``R + eps``, for the following steps. They start
    as identities. Other leaves have ``D = sign(m)`` and ``s = lr *
    nonstandard_constant``.

    Every step has the same size, so the bases may be old. This leaves noise in the
    parameters but not in their average ``a``, which is what you should evaluate: see
    `eval_params`.

    **Arguments:**

    - ``lr``: the learning rate; the same one works for matrices of any size.
    - ``betas``: decay rates of the momentum and of the factors, each in [0, 1).
    - ``weight_decay``: decoupled decay of the parameters after the step, in units of
      ``s``.
    - ``ema_rate``: the decay rate of the parameters' average, in [0, 1).
    - ``inverse_steps``: the number of steps between updates of the bases.
    - ``nonstandard_constant``: the factor of the learning rate of other leaves.
    - ``max_dim``: longer axes have no basis.
    - ``eps``: added to the factors' diagonals.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    All numbers except the counts may be arrays or schedules.

    **State:** `StepBySplusState`. Under `jax.vmap` every step costs what one with a
    decomposition does. On a mesh, the factors are sharded like those of `soap`.

    **Raises:** `ValueError` for a number out of range, for a gradient of another shape
    and, at `update`, if ``params`` is missing; `TypeError` for complex parameters and
    for sparse gradients.

    **Source:** Frans, Levine and Abbeel, "A Stable Whitening Optimizer for Efficient
    Neural Network Training", 2025, [arXiv:2506.07254](https://arxiv.org/abs/2506.07254).
    """
    return assemble(
        step_by_splus(
            lr,
            betas,
            weight_decay,
            ema_rate,
            inverse_steps,
            nonstandard_constant,
            max_dim,
            eps,
            mask,
        ),
        lr=None,
        maximize=maximize,
    )
