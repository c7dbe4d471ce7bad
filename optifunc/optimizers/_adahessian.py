"""AdaHessian: Adam with the Hessian's diagonal in place of squared gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_betas, check_integer, check_range, check_whole
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import (
    first_moment,
    increment,
    is_number,
    one_minus_power,
    second_moment,
    sqrt,
)
from .._placement import zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree, check_inexact
from ..linalg._random_signs import signed_product
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleByAdahessianState(NamedTuple):
    """State of `scale_by_adahessian`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``key``: uint32 [2], the key of the whole run.
    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``exp_hessian_diag_sq``: the same for the squared estimates of the Hessian's
      diagonal.
    """

    step: Shared
    key: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_hessian_diag_sq: Annotated[NonNegative, Keeps("betas", 1)]


@elementwise()
def _diagonal(product: Array, signs: Array) -> Array:
    return product * signs


@elementwise()
def _with_square(
    exp_hessian_diag_sq: Array, estimate: Array, *, weight: Array
) -> Array:
    return second_moment(exp_hessian_diag_sq, estimate, weight)


@elementwise(outputs=2)
def _adahessian(
    updates: Array,
    exp_avg: Array,
    exp_hessian_diag_sq: Array,
    *,
    weight: Array,
    correction: Array,
    square_correction: Array,
    eps: Array,
    hessian_power: Array | None,
) -> tuple[Array, Array]:
    exp_avg = first_moment(exp_avg, updates, weight)
    size = sqrt(exp_hessian_diag_sq / square_correction)
    if hessian_power is not None:
        # The logarithm of 0 would break the derivative with respect to the exponent.
        size = jnp.where(size > 0, jnp.where(size > 0, size, 1) ** hessian_power, 0)
    return exp_avg / correction / (size + eps), exp_avg


@transformation
class scale_by_adahessian(GradientTransformation):
    """The direction of `adahessian`.

    **Arguments:**

    - ``betas``, ``eps``, ``hessian_power``, ``update_interval``, ``num_samples``,
      ``seed``: see `adahessian`.

    **State:** `ScaleByAdahessianState`.

    **Raises:** what `adahessian` does.
    """

    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-4
    hessian_power: Value = 1.0
    update_interval: int = static(default=1)
    num_samples: int = static(default=1)
    seed: Value = 0

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, above=0)
        check_range("hessian_power", self.hessian_power, above=0, at_most=1)
        check_integer("update_interval", self.update_interval, at_least=1)
        check_integer("num_samples", self.num_samples, at_least=1)
        check_whole("seed", self.seed, at_least=0)

    def init(self, params: PyTree) -> ScaleByAdahessianState:
        check_inexact(params, "params")
        # Raw data, not a typed key, so that it can be saved like any other array.
        key = jax.random.key_data(jax.random.key(self.seed, impl="threefry2x32"))
        return ScaleByAdahessianState(
            step=jnp.zeros((), jnp.int32),
            key=key,
            exp_avg=zeros_like(params),
            exp_hessian_diag_sq=zeros_like(params),
        )

    def update(  # type: ignore[override]  # what it needs is required
        self,
        updates: PyTree,
        state: ScaleByAdahessianState,
        params: PyTree | None = None,
        *,
        value_fn: Callable[[PyTree], Any],
        **extra: Any,
    ) -> tuple[PyTree, ScaleByAdahessianState]:
        params = require_params(params, updates, "adahessian")
        beta1, beta2 = self.betas
        step = increment(state.step)

        def estimated() -> PyTree:
            estimate = self._estimate(value_fn, params, state)
            return _with_square(state.exp_hessian_diag_sq, estimate, weight=1 - beta2)

        if self.update_interval == 1:
            squares = estimated()
        else:
            squares = lax.cond(
                state.step % self.update_interval == 0,
                estimated,
                lambda: state.exp_hessian_diag_sq,
            )
        is_linear = is_number(self.hessian_power) and self.hessian_power == 1
        updates, exp_avg = _adahessian(
            updates,
            state.exp_avg,
            squares,
            weight=1 - beta1,
            correction=one_minus_power(beta1, step),
            square_correction=one_minus_power(
                beta2, state.step // self.update_interval + 1
            ),
            eps=self.eps,
            hessian_power=None if is_linear else self.hessian_power,
        )
        return updates, ScaleByAdahessianState(step, state.key, exp_avg, squares)

    def _estimate(
        self,
        value_fn: Callable[[PyTree], Any],
        params: PyTree,
        state: ScaleByAdahessianState,
    ) -> PyTree:
        """The mean of some estimates of the Hessian's diagonal."""
        key = jax.random.wrap_key_data(state.key, impl="threefry2x32")
        key = jax.random.fold_in(key, state.step)

        def sample(key: Array) -> PyTree:
            return _diagonal(*signed_product(value_fn, params, key))

        if self.num_samples == 1:
            return sample(key)
        # One after another, because each needs the memory of a gradient.
        samples = lax.map(sample, jax.random.split(key, self.num_samples))
        return jax.tree.map(lambda x: jnp.mean(x, axis=0), samples)


@factory
def adahessian(
    lr: Hyperparameter = 0.15,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-4,
    weight_decay: Hyperparameter = 0.0,
    *,
    hessian_power: Hyperparameter = 1.0,
    update_interval: int = 1,
    num_samples: int = 1,
    seed: Hyperparameter = 0,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """AdaHessian: Adam that divides by the size of the curvature.

    ::

        m = betas[0] * m + (1 - betas[0]) * g
        h = mean over num_samples of z * (H z)
        v = betas[1] * v + (1 - betas[1]) * h^2               (every update_interval
                                                               steps, from the first)
        d = m / (1 - betas[0]^t) / (sqrt(v / (1 - betas[1]^n))^hessian_power + eps)
        u = -lr * (d + weight_decay * p)

    ``H`` is the Hessian of ``value_fn``, ``z`` is a tree of new random signs for each
    sample, and ``n`` is the number of estimates so far.

    ``value_fn``, an extra argument of `update`, is the loss as a function of only the
    parameters, on the batch of the gradients::

        def value_fn(params):
            return loss(params, batch)

        updates, state = tx.update(grads, state, params, value_fn=value_fn)

    A sample costs about as much as two gradients. The authors also average the
    diagonal over the spatial axes of convolutional kernels, which this does not.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the averages of gradients and of squared estimates, each
      in [0, 1).
    - ``eps``: added to the divisor, above 0.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``hessian_power``: how much the curvature counts, in (0, 1]; 1 is Newton's step.
    - ``update_interval``: the number of steps that use one estimate.
    - ``num_samples``: the number of products with the Hessian per estimate.
    - ``seed``: an integer of at least 0, which `init` reads.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending: up the negative of ``value_fn``.

    All numbers except ``update_interval`` and ``num_samples`` may be arrays or
    schedules.

    **State:** `ScaleByAdahessianState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, `TypeError` for a count or a
    ``seed`` that is not an integer; at `update` `TypeError` if ``value_fn`` is missing,
    `ValueError` if ``params`` is.

    **Source:** Yao, Gholami, Shen, Mustafa, Keutzer and Mahoney, "AdaHessian: An
    Adaptive Second Order Optimizer for Machine Learning", 2021,
    [arXiv:2006.00719](https://arxiv.org/abs/2006.00719).
    """
    return assemble(
        scale_by_adahessian(
            betas, eps, hessian_power, update_interval, num_samples, seed
        ),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
