"""SM3."""

from __future__ import annotations

from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import as_scalar, first_moment, is_zero
from .._placement import zeros_like
from .._state import NonNegative, PerParameter
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, check_real, flatten_like, is_sparse
from ..wrappers._selection import Mask
from ._adafactor import reduced_zeros
from ._assemble import assemble
from ._factory import factory
from ._options import check_option


class ScaleBySm3State(NamedTuple):
    """State of `scale_by_sm3`.

    **Fields:**

    - ``accumulators``: a tuple of arrays for each parameter, one per axis, with the
      other axes reduced to 1; with fewer than two axes, a single array of its shape.
    - ``momentum_buffer``: the average of the directions, from 0 and not debiased; None
      without ``averaging``.
    """

    accumulators: NonNegative
    momentum_buffer: PerParameter | None


def _other_axes(ndim: int) -> list[list[int]]:
    """The axes that each accumulator of a parameter lacks."""
    if ndim < 2:
        return [[]]
    return [[i for i in range(ndim) if i != axis] for axis in range(ndim)]


def _bound(accumulators: tuple[Array, ...]) -> Array:
    """The smallest accumulator of each element."""
    return reduce(jnp.minimum, accumulators)


def _maxima(squares: Array) -> tuple[Array, ...]:
    """The accumulators of the elements' sums of squares."""
    return tuple(
        jnp.max(squares, axis=axes, keepdims=True, initial=0) if axes else squares
        for axes in map(tuple, _other_axes(squares.ndim))
    )


@elementwise(outputs=3)
def _sm3(
    updates: Array,
    momentum_buffer: Array | None,
    bounds: Array,
    *,
    weight1: Array,
    weight2: Array,
    beta: Array,
    eps: Array,
) -> tuple[Array, Array | None, Array]:
    squares = beta * bounds + weight2 * updates * updates
    # If all gradients so far were 0, this one is 0, too.
    known = jnp.where(squares > 0, squares + eps, 1)
    direction = updates * lax.rsqrt(known)
    if momentum_buffer is None:
        return direction, None, squares
    momentum_buffer = first_moment(momentum_buffer, direction, weight1)
    return momentum_buffer, momentum_buffer, squares


@transformation
class scale_by_sm3(GradientTransformation):
    """Divide by the root of a bound on the sum of squares, kept for each axis.

    The rule: see `sm3`.

    **Arguments:**

    - ``momentum``, ``beta``, ``eps``: see `sm3`.
    - ``averaging``: whether to average the directions; otherwise, ``momentum`` is
      unused.

    **State:** `ScaleBySm3State`.

    **Raises:** `ValueError` for a number out of range, and at `update` for a state that
    was made with the other value of ``averaging``; `TypeError` for complex parameters.
    """

    momentum: Value = 0.9
    beta: Value = 1.0
    eps: Value = 1e-8
    averaging: bool = static(default=True)

    def __post_init__(self) -> None:
        check_range("momentum", self.momentum, at_least=0, below=1)
        check_range("beta", self.beta, at_least=0, at_most=1)
        check_range("eps", self.eps, at_least=0)

    def init(self, params: PyTree) -> ScaleBySm3State:
        check_real(params, ("sm3", "parameters"))

        def accumulators(leaf: Any) -> tuple[Array, ...]:
            others = _other_axes(jnp.ndim(leaf))
            return tuple(reduced_zeros(leaf, *axes) for axes in others)

        return ScaleBySm3State(
            accumulators=jax.tree.map(accumulators, params),
            momentum_buffer=zeros_like(params) if self.averaging else None,
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleBySm3State,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleBySm3State]:
        check_real(updates, ("sm3", "gradients"))
        check_option(self, "averaging", state.momentum_buffer, state.accumulators)
        treedef: Any = jax.tree.structure(updates, is_leaf=is_sparse)
        accumulators = flatten_like(
            state.accumulators, updates, ("accumulators", "updates")
        )
        beta = as_scalar(self.beta)
        updates, momentum_buffer, squares = _sm3(
            updates,
            state.momentum_buffer,
            treedef.unflatten(map(_bound, accumulators)),
            weight1=1 - self.momentum,
            # A sum instead of a mean if nothing is forgotten.
            weight2=jnp.where(beta == 1, 1, 1 - beta),
            beta=beta,
            eps=self.eps,
        )
        return updates, ScaleBySm3State(jax.tree.map(_maxima, squares), momentum_buffer)


@factory
def sm3(
    lr: Hyperparameter = 0.1,
    momentum: Hyperparameter = 0.9,
    beta: Hyperparameter = 1.0,
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """SM3: Adagrad with one accumulator for each row and each column.

    ::

        V = min over the axes of a_axis
        V = beta * V + (1 - beta) * g^2,  or  V + g^2  with beta = 1
        b = momentum * b + (1 - momentum) * g / sqrt(V + eps)
        a_axis = max of V over all other axes
        u = -lr * (b + weight_decay * p)

    Each index along each axis of a tensor has one number, and the sum of squares of an
    element is bounded by the smallest number of its axes. Vectors keep a number for
    each element. It works well if whole rows or columns have gradients of similar size,
    as in embeddings, whose rows are rare or frequent.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``momentum``: the decay rate of the average, in [0, 1) (the number 0: no buffer).
    - ``beta``: decay rate of the squares, in [0, 1]; 1: they are summed.
    - ``eps``: added to the sum of squares, inside the root.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleBySm3State`, in the parameters' dtypes: a buffer of their shapes,
    and for a leaf of shape ``[n, m]`` accumulators of shapes ``[n, 1]`` and ``[1, m]``.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing; `TypeError` for complex parameters and for sparse
    gradients.

    **Source:** Anil, Gupta, Koren and Singer, "Memory-Efficient Adaptive Optimization",
    2019, [arXiv:1901.11150](https://arxiv.org/abs/1901.11150) (its SM3-II). ``eps`` and
    the average of the directions are those of optax.
    """
    return assemble(
        scale_by_sm3(momentum, beta, eps, averaging=not is_zero(momentum)),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
