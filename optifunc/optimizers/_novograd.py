"""NovoGrad."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import leafwise
from .._numerics import increment, second_moment, sqrt
from .._placement import zeros_like
from .._state import Keeps, NonNegative, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, squared_norm
from ..transforms._momentum import momentum as momentum_buffer
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleByNovogradState(NamedTuple):
    """State of `scale_by_novograd`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg_sq``: one number for each parameter, the average of the squared norms of
      its gradients, which starts at the first one. At least float32, because a sum over
      many elements exceeds the range of float16.
    """

    step: Shared
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]


@leafwise(outputs=2)
def _novograd(
    updates: Array, exp_avg_sq: Array, *, weight: Array, eps: Array
) -> tuple[Array, Array]:
    norm = sqrt(squared_norm(updates))
    exp_avg_sq = second_moment(exp_avg_sq, norm, weight)
    divisor = sqrt(exp_avg_sq) + eps
    # A divisor of 0 (without eps) means that the gradients are 0.
    factor = 1 / jnp.where(divisor > 0, divisor, 1)
    return factor.astype(updates.dtype) * updates, exp_avg_sq


@transformation
class scale_by_novograd(GradientTransformation):
    """Divide by the root of the mean squared norm of the gradients of each leaf.

    The rule: see `novograd`, up to its momentum.

    **Arguments:**

    - ``beta2``: decay rate of the mean, in [0, 1).
    - ``eps``: added to the root.

    **State:** `ScaleByNovogradState`.

    **Raises:** `ValueError` for a number out of range.
    """

    beta2: Value = 0.98
    eps: Value = 1e-8

    def __post_init__(self) -> None:
        check_range("beta2", self.beta2, at_least=0, below=1)
        check_range("eps", self.eps, at_least=0)

    def init(self, params: PyTree) -> ScaleByNovogradState:
        # 0, in the dtype and in place of the norms to come
        exp_avg_sq = jax.tree.map(squared_norm, zeros_like(params))
        return ScaleByNovogradState(jnp.zeros((), jnp.int32), exp_avg_sq)

    def update(
        self,
        updates: PyTree,
        state: ScaleByNovogradState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByNovogradState]:
        updates, exp_avg_sq = _novograd(
            updates,
            state.exp_avg_sq,
            weight=jnp.where(state.step == 0, 1.0, 1 - self.beta2),
            eps=self.eps,
        )
        return updates, ScaleByNovogradState(increment(state.step), exp_avg_sq)


@factory
def novograd(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.95, 0.98),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    grad_averaging: bool = False,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """NovoGrad: Adam with one second moment for each leaf, with half the state.

    ::

        v_1 = norm(g)^2
        v_t = betas[1] * v_{t-1} + (1 - betas[1]) * norm(g)^2
        x_t = g / (sqrt(v_t) + eps) + weight_decay * p
        b_1 = x_1
        b_t = betas[0] * b_{t-1} + x_t
        b_t = betas[0] * b_{t-1} + (1 - betas[0]) * x_t       (grad_averaging)
        u = -lr * b_t

    The norm is that of a whole leaf.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: the decay rates of the buffer and of the mean of squared norms, each in
      [0, 1).
    - ``eps``: added to the root.
    - ``weight_decay``: decay of the parameters, which goes through the buffer but not
      into the norms.
    - ``grad_averaging``: average the directions instead of summing them; with the
      default ``betas``, steps are then 20 times smaller.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByNovogradState` with one number for each leaf, and `MomentumState`
    in the parameters' shapes and dtypes.

    **Complex parameters:** a norm counts real and imaginary parts; give the conjugate
    of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing.

    **Source:** Ginsburg et al., "Stochastic Gradient Methods with Layer-wise Adaptive
    Moments for Training of Deep Networks", 2019,
    [arXiv:1905.11286](https://arxiv.org/abs/1905.11286). The defaults are those of the
    authors' code; optax has ``betas=(0.9, 0.25)`` and ``eps=1e-6``.
    """
    check_betas(betas)
    beta1, beta2 = betas
    return assemble(
        scale_by_novograd(beta2, eps),
        # The decay goes through the buffer.
        assemble(
            momentum_buffer(beta1, dampening=beta1 if grad_averaging else 0.0),
            lr=None,
            weight_decay=weight_decay,
            decay="coupled",
            mask=mask,
        ),
        lr=lr,
        maximize=maximize,
    )
