"""Adafactor."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import NamedSharding, PartitionSpec, Sharding

from .._checks import check_pair, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import leafwise
from .._numerics import Scalar, as_scalar, increment, lerp, sqrt
from .._state import NonNegative, Shared
from .._transformation import (
    GradientTransformation,
    identity,
    require_params,
    transformation,
)
from .._tree import PyTree, check_real, check_shapes, zeros_like
from ..wrappers._masked import masked
from ..wrappers._selection import (
    Mask,
    check_mask,
    chosen_values,
    like,
    static_choice,
)
from ._assemble import assemble
from ._factory import factory


class StepByAdafactorState(NamedTuple):
    """State of `step_by_adafactor`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``row_var``: for each parameter of two or more axes its row variances, the last
      axis reduced to 1; None for the others.
    - ``col_var``: likewise the column variances, the last but one axis reduced to 1.
    - ``variance``: for each parameter of fewer axes its variances; None for the others.
    """

    step: Shared
    row_var: NonNegative
    col_var: NonNegative
    variance: NonNegative


def _mean_along(x: Array, axis: int | None = None) -> Array:
    """The mean along an axis that is kept, or of all elements; 0 if there are none."""
    count = x.size if axis is None else x.shape[axis]
    return jnp.sum(x, axis, keepdims=axis is not None) / max(count, 1)


def _root_mean_square(x: Array) -> Array:
    return sqrt(_mean_along(x * x))


@leafwise(outputs=4)
def _adafactor(
    updates: Array,
    row_var: Array | None,
    col_var: Array | None,
    variance: Array | None,
    params: Array,
    decaying: Array | None,
    *,
    weight: Array,
    rho: Array,
    shrinkage: Array,
    eps1: Array,
    eps1_squared: Array,
    eps2: Array,
    d: Array,
) -> tuple[Array, Array | None, Array | None, Array | None]:
    squares = updates * updates
    if row_var is not None and col_var is not None:
        row_var = lerp(row_var, _mean_along(squares, -1), weight)
        col_var = lerp(col_var, _mean_along(squares, -2), weight)
        total = jnp.maximum(_mean_along(row_var, -2), eps1)
        # Divided before the product, which could leave the range of float32.
        estimate = row_var / jnp.where(total > 0, total, 1) * col_var
    else:
        assert variance is not None
        estimate = variance = lerp(variance, squares, weight)
    estimate = jnp.maximum(estimate, eps1_squared)
    # An estimate of 0 (its floor, too, may round to 0) goes with a gradient of 0.
    direction = jnp.where(
        estimate > 0, updates * lax.rsqrt(jnp.where(estimate > 0, estimate, 1)), 0
    )
    size = jnp.maximum(eps2, _root_mean_square(params)) * rho
    clipped = jnp.maximum(1, _root_mean_square(direction) / d)
    updates = -size / clipped * direction
    if decaying is not None:
        updates -= shrinkage * decaying
    return updates, row_var, col_var, variance


def adafactor_weight(step: Array, beta2_decay: Scalar) -> Array:
    """The weight of the newest square, ``t^beta2_decay``: 1 at the first step."""
    return as_scalar(step) ** as_scalar(beta2_decay)


def _reduced_zeros(leaf: Any, axis: int) -> Array:
    """Zeros like ``leaf`` with one axis reduced to 1, sharded along the others."""
    shape = list(jnp.shape(leaf))
    shape[axis] = 1
    return lax.full_like(leaf, 0, shape=shape, sharding=_reduced_sharding(leaf, axis))


def _reduced_sharding(leaf: Any, axis: int) -> Sharding | None:
    """The sharding of ``leaf`` without one axis; None where JAX is free to choose."""
    is_traced = isinstance(leaf, jax.core.Tracer)
    if not is_traced and not (isinstance(leaf, Array) and leaf.committed):
        return None
    # Of a traced array the explicit axes of a mesh are known.
    sharding: Sharding = (jax.typeof(leaf) if is_traced else leaf).sharding
    if not isinstance(sharding, NamedSharding):
        return sharding
    if is_traced and not any(sharding.spec):
        return None
    spec = [*sharding.spec, *[None] * (leaf.ndim - len(sharding.spec))]
    spec[axis] = None
    return NamedSharding(
        sharding.mesh, PartitionSpec(*spec), memory_kind=sharding.memory_kind
    )


@transformation
class step_by_adafactor(GradientTransformation):
    """Adafactor's step.

    The rule: see `adafactor`. The learning rate is an argument because it bounds the
    relative step size: no factor after the transformation could stand for it.

    **Arguments:**

    - ``lr``, ``beta2_decay``, ``eps``, ``d``, ``weight_decay``, ``mask``: see
      `adafactor`.

    **State:** `StepByAdafactorState`.

    **Raises:** what `adafactor` does.
    """

    lr: Value = 1e-2
    beta2_decay: Value = -0.8
    eps: tuple[Value | None, Value] = (None, 1e-3)
    d: Value = 1.0
    weight_decay: Value = 0.0
    mask: Any = static(default=None)

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_range("beta2_decay", self.beta2_decay, at_most=0)
        check_pair("eps", self.eps)
        if self.eps[0] is not None:
            check_range("eps[0]", self.eps[0], at_least=0)
        check_range("eps[1]", self.eps[1], at_least=0)
        check_range("d", self.d, at_least=1)
        check_range("weight_decay", self.weight_decay, at_least=0)
        if self.mask is not None:
            object.__setattr__(self, "mask", static_choice(self.mask, check_mask))

    def _decaying(self, params: PyTree) -> PyTree:
        """The parameters that decay, with None for the others."""
        if self.mask is None:
            return params
        chosen = chosen_values(self.mask, params, "mask", check_mask)
        pairs = zip(jax.tree.leaves(params), chosen, strict=True)
        return like(params, [p if keep else None for p, keep in pairs])

    def init(self, params: PyTree) -> StepByAdafactorState:
        check_real(params, ("adafactor", "parameters"))
        if self.mask is not None:
            # Looks at the mask as it does for every other optimizer.
            masked(identity(), self.mask).init(params)

        def reduced(axis: int) -> PyTree:
            return jax.tree.map(
                lambda p: _reduced_zeros(p, axis) if jnp.ndim(p) > 1 else None, params
            )

        vectors = jax.tree.map(lambda p: None if jnp.ndim(p) > 1 else p, params)
        return StepByAdafactorState(
            step=jnp.zeros((), jnp.int32),
            row_var=reduced(-1),
            col_var=reduced(-2),
            variance=zeros_like(vectors),
        )

    def update(
        self,
        updates: PyTree,
        state: StepByAdafactorState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByAdafactorState]:
        params = require_params(params, updates, "adafactor")
        check_real(updates, ("adafactor", "gradients"))
        check_shapes(updates, params, ("updates", "params"))
        leaves = jax.tree.leaves(params)
        if not leaves:
            return updates, state._replace(step=increment(state.step))
        step = increment(state.step)
        lr = as_scalar(self.lr)
        eps1, eps2 = self.eps
        if eps1 is None:
            eps1 = float(jnp.finfo(jnp.result_type(leaves[0])).eps)
        updates, *variances = _adafactor(
            updates,
            state.row_var,
            state.col_var,
            state.variance,
            params,
            self._decaying(params),
            weight=adafactor_weight(step, self.beta2_decay),
            rho=jnp.minimum(lr, 1 / jnp.sqrt(as_scalar(step))),
            shrinkage=self.lr * self.weight_decay,
            eps1=eps1,
            eps1_squared=eps1 * eps1,
            eps2=eps2,
            d=self.d,
        )
        return updates, StepByAdafactorState(step, *variances)


@factory
def adafactor(
    lr: Hyperparameter = 1e-2,
    beta2_decay: Hyperparameter = -0.8,
    eps: tuple[Hyperparameter | None, Hyperparameter] = (None, 1e-3),
    d: Hyperparameter = 1.0,
    weight_decay: Hyperparameter = 0.0,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """`torch.optim.Adafactor`: steps like Adam's, from row and column variances only.

    ::

        w = t^beta2_decay
        R = (1 - w) * R + w * mean(g^2, columns)              (two or more axes)
        C = (1 - w) * C + w * mean(g^2, rows)
        V = R C / max(mean(R), eps[0])
        V = (1 - w) * V + w * g^2                             (fewer axes)
        s = g / sqrt(max(V, eps[0]^2))
        a = max(eps[1], RMS(p)) * min(lr, 1 / sqrt(t))
        u = -a / max(1, RMS(s) / d) * s - lr * weight_decay * p

    Variances are factored along the last two axes, whatever their sizes; the axes
    before them are those of a batch. ``RMS`` is the root of the mean of the squares of
    a leaf's elements.

    **Arguments:**

    - ``lr``: the largest relative step size.
    - ``beta2_decay``: the power of ``t``, at most 0, with which the newest squares are
      weighted.
    - ``eps``: the floor of the variances, and of a parameter's size. A first one of
      None is the machine epsilon of the dtype of the **first** leaf of the parameters,
      for all of them, as in torch.
    - ``d``: the RMS of ``s`` above which it is clipped, at least 1.
    - ``weight_decay``: decoupled decay, scaled by ``lr`` itself.
    - ``mask``: which parameters decay, as `assemble` takes it; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `StepByAdafactorState`, in the parameters' dtypes: for a leaf of shape
    ``[..., n, m]`` variances of shapes ``[..., n, 1]`` and ``[..., 1, m]``.

    **Raises:** `ValueError` for a number out of range, for a gradient of another shape
    and, at `update`, if ``params`` is missing; `TypeError` for complex parameters and
    for sparse gradients.

    **Source:** Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear
    Memory Cost", ICML 2018, [arXiv:1804.04235](https://arxiv.org/abs/1804.04235).
    """
    # The decay is inside the step, which has the learning rate that scales it.
    return assemble(
        step_by_adafactor(lr, beta2_decay, eps, d, weight_decay, mask),
        lr=None,
        maximize=maximize,
    )
