"""Adafactor."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_choice, check_integer, check_pair, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import leafwise
from .._numerics import Scalar, as_scalar, first_moment, increment, is_zero, lerp, sqrt
from .._placement import zeros_for, zeros_like, zeros_of_shape
from .._state import NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree, check_real, check_shapes
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._decay_inside import check_mask_fits, decaying, static_mask
from ._factory import factory


class StepByAdafactorState(NamedTuple):
    """State of `step_by_adafactor`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``row_var``: the row variances of each factored parameter, with the last axis (or
      the largest) reduced to 1; None for the others.
    - ``col_var``: the column variances, with the second to last axis (or the second
      largest) reduced to 1.
    - ``variance``: the variances of each other parameter; None for factored ones.
    - ``exp_avg``: the average of each parameter's steps; None without momentum.
    """

    step: Shared
    row_var: NonNegative
    col_var: NonNegative
    variance: NonNegative
    exp_avg: PerParameter | None = None


def _mean_along(x: Array, axis: int | None = None) -> Array:
    """The mean along an axis that is kept, or of all elements; 0 if there are none."""
    count = x.size if axis is None else x.shape[axis]
    return jnp.sum(x, axis, keepdims=axis is not None) / max(count, 1)


def root_mean_square(x: Array) -> Array:
    return sqrt(_mean_along(x * x))


class _Form(NamedTuple):
    """The parts that are structure instead of numbers."""

    factored: bool
    min_dim_size_to_factor: int
    factored_axes: str
    multiply_by_parameter_scale: bool
    add_eps: bool

    def axes(self, shape: tuple[int, ...]) -> tuple[int, int] | None:
        """The axes that row and column variances are means along; None: neither."""
        if not self.factored or len(shape) < 2:
            return None
        order = list(range(len(shape)))
        if self.factored_axes == "largest":
            order = sorted(order, key=lambda axis: shape[axis])
        if min(shape[i] for i in order[-2:]) < self.min_dim_size_to_factor:
            return None
        return order[-1], order[-2]


@leafwise(outputs=5, static=("form", "has_clipping"))
def _adafactor(
    updates: Array,
    row_var: Array | None,
    col_var: Array | None,
    variance: Array | None,
    exp_avg: Array | None,
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
    momentum: Array,
    form: _Form,
    has_clipping: bool,
) -> tuple[Array, Array | None, Array | None, Array | None, Array | None]:
    squares = updates * updates
    if form.add_eps:
        squares = squares + eps1
        eps1 = eps1_squared = jnp.zeros_like(eps1)
    axes = form.axes(updates.shape)
    if axes is not None:
        assert row_var is not None
        assert col_var is not None
        row_var = lerp(row_var, _mean_along(squares, axes[0]), weight)
        col_var = lerp(col_var, _mean_along(squares, axes[1]), weight)
        total = jnp.maximum(_mean_along(row_var, axes[1]), eps1)
        # Divide before the product, which could exceed the range of float32.
        estimate = row_var / jnp.where(total > 0, total, 1) * col_var
    else:
        assert variance is not None
        estimate = variance = lerp(variance, squares, weight)
    estimate = jnp.maximum(estimate, eps1_squared)
    # An estimate of 0 (its floor may also round to 0) means that the gradient is 0.
    direction = jnp.where(
        estimate > 0, updates * lax.rsqrt(jnp.where(estimate > 0, estimate, 1)), 0
    )
    size = rho
    if form.multiply_by_parameter_scale:
        size = jnp.maximum(eps2, root_mean_square(params)) * rho
    if has_clipping:
        size = size / jnp.maximum(1, root_mean_square(direction) / d)
    updates = -size * direction
    if exp_avg is not None:
        updates = exp_avg = first_moment(exp_avg, updates, 1 - momentum)
    if decaying is not None:
        updates -= shrinkage * decaying
    return updates, row_var, col_var, variance, exp_avg


def adafactor_weight(
    step: Array, beta2_decay: Scalar, offset: Scalar = 0, cap: Scalar | None = None
) -> Array:
    """The weight of the newest square, ``t^beta2_decay``: 1 at the first step."""
    t = jnp.maximum(as_scalar(step) - as_scalar(offset), 1)
    weight = t ** as_scalar(beta2_decay)
    return weight if cap is None else jnp.maximum(weight, 1 - as_scalar(cap))


def reduced_zeros(leaf: Any, *axes: int) -> Array:
    """Zeros like ``leaf`` with axes reduced to 1, sharded along the others."""
    shape = [1 if i in axes else n for i, n in enumerate(jnp.shape(leaf))]
    return zeros_of_shape(leaf, tuple(shape))


@transformation
class step_by_adafactor(GradientTransformation):
    """Adafactor's step.

    The rule: see `adafactor`. The learning rate is an argument because it bounds the
    relative step size: no factor after the transformation could replace it.

    **Arguments:**

    - ``lr``, ``beta2_decay``, ``eps``, ``d``, ``weight_decay``, ``mask``, ``factored``,
      ``min_dim_size_to_factor``, ``factored_axes``, ``multiply_by_parameter_scale``,
      ``relative_step``, ``momentum``, ``momentum_dtype``, ``decay_offset``,
      ``beta2_cap``, ``add_eps``, ``scale_weight_decay``: see `adafactor`, whose
      momentum of 0 is None here.

    **State:** `StepByAdafactorState`.

    **Raises:** what `adafactor` does.
    """

    lr: Value = 1e-2
    beta2_decay: Value = -0.8
    eps: tuple[Value | None, Value] = (None, 1e-3)
    d: Value | None = 1.0
    weight_decay: Value = 0.0
    mask: Any = static(default=None)
    factored: bool = static(default=True)
    min_dim_size_to_factor: int = static(default=0)
    factored_axes: str = static(default="last")
    multiply_by_parameter_scale: bool = static(default=True)
    relative_step: bool = static(default=True)
    momentum: Value | None = None  # not 0, which would be a leaf: None is structure
    momentum_dtype: Any = static(default=None)
    decay_offset: Value = 0
    beta2_cap: Value | None = None
    add_eps: bool = static(default=False)
    scale_weight_decay: bool = static(default=True)

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_range("beta2_decay", self.beta2_decay, at_most=0)
        check_pair("eps", self.eps)
        if self.eps[0] is not None:
            check_range("eps[0]", self.eps[0], at_least=0)
        check_range("eps[1]", self.eps[1], at_least=0)
        if self.d is not None:
            check_range("d", self.d, at_least=1)
        check_range("weight_decay", self.weight_decay, at_least=0)
        check_integer("min_dim_size_to_factor", self.min_dim_size_to_factor, at_least=0)
        check_choice("factored_axes", self.factored_axes, ("last", "largest"))
        if self.momentum is not None:
            check_range("momentum", self.momentum, at_least=0, below=1)
        check_range("decay_offset", self.decay_offset)
        if self.beta2_cap is not None:
            check_range("beta2_cap", self.beta2_cap, at_least=0, below=1)
        if self.momentum_dtype is not None:
            dtype = jnp.dtype(self.momentum_dtype)
            if not jnp.issubdtype(dtype, jnp.floating):
                raise ValueError(f"momentum_dtype must be a float, found {dtype}")
            object.__setattr__(self, "momentum_dtype", dtype)
        object.__setattr__(self, "mask", static_mask(self.mask))

    def init(self, params: PyTree) -> StepByAdafactorState:
        check_real(params, ("adafactor", "parameters"))
        check_mask_fits(self.mask, params)

        form = self._form()

        def reduced(i: int) -> PyTree:
            def zeros(leaf: Any) -> Array | None:
                axes = form.axes(jnp.shape(leaf))
                return None if axes is None else reduced_zeros(leaf, axes[i])

            return jax.tree.map(zeros, params)

        others = jax.tree.map(
            lambda p: p if form.axes(jnp.shape(p)) is None else None, params
        )
        return StepByAdafactorState(
            step=jnp.zeros((), jnp.int32),
            row_var=reduced(0),
            col_var=reduced(1),
            variance=zeros_like(others),
            exp_avg=None if self.momentum is None else self._zero_average(params),
        )

    def _form(self) -> _Form:
        return _Form(*(getattr(self, name) for name in _Form._fields))

    def factored_axes_of(self, shape: tuple[int, ...]) -> tuple[int, int] | None:
        """The axes that row and column variances are means along; None: neither.

        **Arguments:**

        - ``shape``: the shape of a parameter.
        """
        return self._form().axes(shape)

    def _zero_average(self, params: PyTree) -> PyTree:
        if self.momentum_dtype is None:
            return zeros_like(params)
        return jax.tree.map(lambda p: zeros_for(p, self.momentum_dtype), params)

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
        if (state.exp_avg is None) is not (self.momentum is None):
            raise ValueError(
                f"this state was made by step_by_adafactor "
                f"{'without' if state.exp_avg is None else 'with'} momentum, and this "
                f"is one with momentum={self.momentum!r}; give the state that its init "
                "or last update returned"
            )
        step = increment(state.step)
        rho = as_scalar(self.lr)
        if self.relative_step:
            rho = jnp.minimum(rho, 1 / jnp.sqrt(as_scalar(step)))
        eps1, eps2 = self.eps
        if eps1 is None:
            eps1 = float(jnp.finfo(jnp.result_type(leaves[0])).eps)
        decay_lr = self.lr if self.scale_weight_decay else 1.0
        updates, *trees = _adafactor(
            updates,
            state.row_var,
            state.col_var,
            state.variance,
            state.exp_avg,
            params,
            decaying(params, self.mask),
            weight=adafactor_weight(
                step, self.beta2_decay, self.decay_offset, self.beta2_cap
            ),
            rho=rho,
            shrinkage=decay_lr * self.weight_decay,
            eps1=eps1,
            eps1_squared=eps1 * eps1,
            eps2=eps2,
            d=1.0 if self.d is None else self.d,
            momentum=0.0 if self.momentum is None else self.momentum,
            form=self._form(),
            has_clipping=self.d is not None,
        )
        return updates, StepByAdafactorState(step, *trees)


@factory
def adafactor(
    lr: Hyperparameter = 1e-2,
    beta2_decay: Hyperparameter = -0.8,
    eps: tuple[Hyperparameter | None, Hyperparameter] = (None, 1e-3),
    d: Hyperparameter | None = 1.0,
    weight_decay: Hyperparameter = 0.0,
    *,
    factored: bool = True,
    min_dim_size_to_factor: int = 0,
    factored_axes: str = "last",
    multiply_by_parameter_scale: bool = True,
    relative_step: bool = True,
    momentum: Hyperparameter = 0.0,
    momentum_dtype: Any = None,
    decay_offset: Hyperparameter = 0,
    beta2_cap: Hyperparameter | None = None,
    add_eps: bool = False,
    scale_weight_decay: bool = True,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """`torch.optim.Adafactor`: steps like Adam's, from row and column variances only.

    ::

        w = t^beta2_decay
        R = (1 - w) * R + w * mean(g^2, columns)              (factored)
        C = (1 - w) * C + w * mean(g^2, rows)
        V = R C / max(mean(R), eps[0])
        V = (1 - w) * V + w * g^2                             (the others)
        s = g / sqrt(max(V, eps[0]^2))
        a = max(eps[1], RMS(p)) * min(lr, 1 / sqrt(t))
        s = a / max(1, RMS(s) / d) * s
        s = momentum * s' + (1 - momentum) * s                (with momentum)
        u = -s - lr * weight_decay * p

    ``RMS`` is the root of the mean of the squares of a leaf's elements, and ``s'`` the
    ``s`` of the previous step. As in torch, parameters with two or more axes are
    factored along the last two, whatever their sizes; the axes before them are batch
    axes.

    Keyword arguments change the rule in ways that are common in JAX. The following make
    it equal to `optax.adafactor` with its defaults::

        of.adafactor(
            lr,
            eps=(1e-30, 1e-3),
            min_dim_size_to_factor=128,
            factored_axes="largest",
            relative_step=False,
            add_eps=True,
            scale_weight_decay=False,
        )

    **Arguments:**

    - ``lr``: the largest relative step size.
    - ``beta2_decay``: the power of ``t``, at most 0, with which the newest squares are
      weighted.
    - ``eps``: the floor of the variances, and of a parameter's size. If the first one
      is None, it is the machine epsilon of the dtype of the **first** leaf of the
      parameters, for all of them, as in torch.
    - ``d``: the RMS of ``s`` above which it is clipped, at least 1; None: no clipping.
    - ``weight_decay``: decoupled decay, scaled by ``lr`` itself.
    - ``factored``: False keeps all variances of all parameters.
    - ``min_dim_size_to_factor``: factor only parameters whose two axes are at least
      this long.
    - ``factored_axes``: ``"last"``, or ``"largest"`` for the two largest axes.
    - ``multiply_by_parameter_scale``: False leaves ``max(eps[1], RMS(p))`` out of
      ``a``: ``lr`` is then a step size like Adam's.
    - ``relative_step``: False leaves ``1 / sqrt(t)`` out of ``a``: ``lr`` is the step
      size, for which you can use a schedule.
    - ``momentum``: the decay rate of the average of steps, in [0, 1); the average is
      not debiased (the number 0: no average).
    - ``momentum_dtype``: the dtype of that average; None: the parameters'.
    - ``decay_offset``: the step from which ``t`` is counted in ``w``, for a run that
      continues from another's state.
    - ``beta2_cap``: the largest weight of the old variances, such as 0.999: ``w`` is at
      least ``1 - beta2_cap``.
    - ``add_eps``: add ``eps[0]`` to ``g^2`` instead of using it as a floor.
    - ``scale_weight_decay``: False leaves ``lr`` out of the decay.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `StepByAdafactorState`, in the parameters' dtypes: for a leaf of shape
    ``[..., n, m]`` variances of shapes ``[..., n, 1]`` and ``[..., 1, m]``, and with
    momentum an average in the leaf's shape.

    **Raises:** `ValueError` for a number out of range, for a gradient of another shape
    and, at `update`, if ``params`` is missing; `TypeError` for complex parameters and
    for sparse gradients.

    **Source:** Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear
    Memory Cost", ICML 2018, [arXiv:1804.04235](https://arxiv.org/abs/1804.04235); the
    cap and momentum: Zhai, Kolesnikov, Houlsby and Beyer, "Scaling Vision
    Transformers", 2021, [arXiv:2106.04560](https://arxiv.org/abs/2106.04560).
    """
    # The decay is inside the step, which has the learning rate that scales it.
    step = step_by_adafactor(
        lr,
        beta2_decay,
        eps,
        d,
        weight_decay,
        mask,
        factored,
        min_dim_size_to_factor,
        factored_axes,
        multiply_by_parameter_scale,
        relative_step,
        None if is_zero(momentum) else momentum,
        momentum_dtype,
        decay_offset,
        beta2_cap,
        add_eps,
        scale_weight_decay,
    )
    return assemble(step, lr=None, maximize=maximize)
