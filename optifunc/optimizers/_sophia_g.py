"""Sophia with the Gauss-Newton estimate of the Hessian's diagonal."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import first_moment, increment, second_moment
from .._placement import zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, check_shapes
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleBySophiaGState(NamedTuple):
    """State of `scale_by_sophia_g`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``hessian``: the same for the squared gradients of sampled labels.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    hessian: Annotated[NonNegative, Keeps("betas", 1)]


@elementwise(outputs=3)
def _sophia_g(
    updates: Array,
    exp_avg: Array,
    hessian: Array,
    sampled_grad: Array | None,
    *,
    weight1: Array,
    weight2: Array,
    factor: Array,
) -> tuple[Array, Array, Array]:
    if sampled_grad is not None:
        hessian = second_moment(hessian, sampled_grad, weight2)
    exp_avg = first_moment(exp_avg, updates, weight1)
    # The authors' 1e-15, in case there is no curvature.
    size = jnp.minimum(jnp.abs(exp_avg) / (factor * hessian + 1e-15), 1)
    return jnp.sign(exp_avg) * size, exp_avg, hessian


@transformation
class scale_by_sophia_g(GradientTransformation):
    """Divide the mean of the gradients by the squares of sampled ones, and clip.

    The rule: see `sophia_g`.

    **Arguments:**

    - ``betas``, ``rho``, ``bs``: see `sophia_g`.

    **State:** `ScaleBySophiaGState`.

    **Raises:** `ValueError` for a number out of range.
    """

    betas: tuple[Value, Value] = (0.965, 0.99)
    rho: Value = 0.04
    bs: Value = 5120.0

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("rho", self.rho, at_least=0)
        check_range("bs", self.bs, above=0)

    def init(self, params: PyTree) -> ScaleBySophiaGState:
        return ScaleBySophiaGState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            hessian=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleBySophiaGState,
        params: PyTree | None = None,
        *,
        sampled_grad: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleBySophiaGState]:
        beta1, beta2 = self.betas
        if sampled_grad is not None:
            check_shapes(updates, sampled_grad, ("updates", "sampled_grad"))
        updates, exp_avg, hessian = _sophia_g(
            updates,
            state.exp_avg,
            state.hessian,
            sampled_grad,
            weight1=1 - beta1,
            weight2=1 - beta2,
            factor=self.rho * self.bs,
        )
        return updates, ScaleBySophiaGState(increment(state.step), exp_avg, hessian)


@factory
def sophia_g(
    lr: Hyperparameter = 1e-4,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.965, 0.99),
    rho: Hyperparameter = 0.04,
    weight_decay: Hyperparameter = 0.1,
    *,
    bs: Hyperparameter = 5120.0,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Sophia-G: steps divided by the squared gradients of sampled labels, and clipped.

    ::

        h = betas[1] * h + (1 - betas[1]) * sampled_grad^2    (if it is given)
        m = betas[0] * m + (1 - betas[0]) * g
        d = sign(m) * min(|m| / (rho * bs * h + 1e-15), 1)
        u = -lr * (d + weight_decay * p)

    ``sampled_grad``, an extra argument of `update`, is a gradient of the mean loss with
    labels drawn from the model's own predictions. Pass it at every tenth step or so,
    and omit it in the others; a compiled step then consists of two programs::

        labels = jax.random.categorical(key, model(params, inputs))
        sampled = jax.grad(loss)(params, inputs, labels)
        updates, state = tx.update(grads, state, params, sampled_grad=sampled)

    Before the first one, ``h`` is 0, and every element moves by ``lr`` along its sign.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the mean and of the squares, each in [0, 1).
    - ``rho``: the factor of the curvature. The smaller it is, the more elements are
      clipped; the authors advise a value with which 10% to 50% are not.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``bs``: the number of samples, such as tokens, over which the loss is averaged. It
      turns the squares into an estimate of the curvature, so you have to set it.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleBySophiaGState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing, or if ``sampled_grad`` does not have the structure
    of the gradients.

    **Source:** see `sophia`.
    """
    return assemble(
        scale_by_sophia_g(betas, rho, bs),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
