"""QHAdam and QHM: quasi-hyperbolic momentum."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_pair, check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import (
    first_moment,
    increment,
    one_minus_power,
    second_moment,
    sqrt,
)
from .._placement import zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleByQhadamState(NamedTuple):
    """State of `scale_by_qhadam`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``exp_avg_sq``: the same for their squares.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]


class ScaleByQhmState(NamedTuple):
    """State of `scale_by_qhm`.

    **Fields:**

    - ``momentum_buffer``: the average of each parameter's gradients, from 0 and not
      debiased.
    """

    momentum_buffer: PerParameter


@elementwise(outputs=3)
def _qhadam(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    *,
    weight1: Array,
    weight2: Array,
    correction1: Array,
    correction2: Array,
    nu1: Array,
    nu2: Array,
    eps: Array,
) -> tuple[Array, Array, Array]:
    exp_avg = first_moment(exp_avg, updates, weight1)
    exp_avg_sq = second_moment(exp_avg_sq, updates, weight2)
    mean = first_moment(updates, exp_avg / correction1, nu1)
    # Not as a difference, because rounding must not make a mean of squares negative.
    square = nu2 * (exp_avg_sq / correction2) + (1 - nu2) * updates * updates
    return mean / (sqrt(square) + eps), exp_avg, exp_avg_sq


@elementwise(outputs=2)
def _qhm(
    updates: Array, momentum_buffer: Array, *, weight: Array, nu: Array
) -> tuple[Array, Array]:
    momentum_buffer = first_moment(momentum_buffer, updates, weight)
    return first_moment(updates, momentum_buffer, nu), momentum_buffer


@transformation
class scale_by_qhadam(GradientTransformation):
    """Adam's direction, with each moment averaged with the newest gradient.

    The rule: see `qhadam`.

    **Arguments:**

    - ``betas``, ``nus``, ``eps``: see `qhadam`.

    **State:** `ScaleByQhadamState`.

    **Raises:** `ValueError` for a number out of range.
    """

    betas: tuple[Value, Value] = (0.995, 0.999)
    nus: tuple[Value, Value] = (0.7, 1.0)
    eps: Value = 1e-8

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_pair("nus", self.nus)
        for i, nu in enumerate(self.nus):
            check_range(f"nus[{i}]", nu, at_least=0, at_most=1)
        check_range("eps", self.eps, at_least=0)

    def init(self, params: PyTree) -> ScaleByQhadamState:
        return ScaleByQhadamState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByQhadamState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByQhadamState]:
        beta1, beta2 = self.betas
        nu1, nu2 = self.nus
        step = increment(state.step)
        updates, *trees = _qhadam(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            weight1=1 - beta1,
            weight2=1 - beta2,
            correction1=one_minus_power(beta1, step),
            correction2=one_minus_power(beta2, step),
            nu1=nu1,
            nu2=nu2,
            eps=self.eps,
        )
        return updates, ScaleByQhadamState(step, *trees)


@transformation
class scale_by_qhm(GradientTransformation):
    """The mean of the gradients, averaged with the newest one.

    The rule: see `qhm`.

    **Arguments:**

    - ``momentum``, ``nu``: see `qhm`.

    **State:** `ScaleByQhmState`.

    **Raises:** `ValueError` for a number out of range.
    """

    momentum: Value = 0.999
    nu: Value = 0.7

    def __post_init__(self) -> None:
        check_range("momentum", self.momentum, at_least=0, below=1)
        check_range("nu", self.nu, at_least=0, at_most=1)

    def init(self, params: PyTree) -> ScaleByQhmState:
        return ScaleByQhmState(zeros_like(params))

    def update(
        self,
        updates: PyTree,
        state: ScaleByQhmState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByQhmState]:
        updates, momentum_buffer = _qhm(
            updates, state.momentum_buffer, weight=1 - self.momentum, nu=self.nu
        )
        return updates, ScaleByQhmState(momentum_buffer)


@factory
def qhadam(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.995, 0.999),
    nus: tuple[Hyperparameter, Hyperparameter] = (0.7, 1.0),
    weight_decay: Hyperparameter = 0.0,
    eps: Hyperparameter = 1e-8,
    decoupled_weight_decay: bool = False,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """QHAdam: Adam with moments that are averaged with the newest gradient.

    ::

        g = g + weight_decay * p                              (coupled decay)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g^2
        n = nus[0] * m / (1 - betas[0]^t) + (1 - nus[0]) * g
        w = nus[1] * v / (1 - betas[1]^t) + (1 - nus[1]) * g^2
        d = n / (sqrt(w) + eps)
        d = d + weight_decay * p                              (decoupled decay)
        u = -lr * d

    With ``nus=(1, 1)`` this is `adam`, and with ``nus=(betas[0], 1)`` nearly `nadam`.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the two moments, each in [0, 1). The defaults of these
      and of ``nus`` are the authors' recommendation.
    - ``nus``: the weights of the moments in the direction, each in [0, 1].
    - ``weight_decay``: L2 penalty, or with ``decoupled_weight_decay`` decoupled decay.
    - ``eps``: added to the root.
    - ``decoupled_weight_decay``: keep the decay out of the moments.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByQhadamState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing.

    **Source:** Ma and Yarats, "Quasi-hyperbolic momentum and Adam for deep learning",
    2019, [arXiv:1810.06801](https://arxiv.org/abs/1810.06801).
    """
    return assemble(
        scale_by_qhadam(betas, nus, eps),
        lr=lr,
        weight_decay=weight_decay,
        decay="decoupled" if decoupled_weight_decay else "coupled",
        mask=mask,
        maximize=maximize,
    )


@factory
def qhm(
    lr: Hyperparameter = 1e-3,
    momentum: Hyperparameter = 0.999,
    nu: Hyperparameter = 0.7,
    weight_decay: Hyperparameter = 0.0,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """QHM: gradient descent along an average of gradient and momentum.

    ::

        g = g + weight_decay * p
        b = momentum * b + (1 - momentum) * g
        u = -lr * ((1 - nu) * g + nu * b)

    The momentum is an average, not a sum as in `sgd`: learning rates are larger by
    ``1 / (1 - momentum)``.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``momentum``: the decay rate of the average, in [0, 1).
    - ``nu``: the weight of the average in the direction, in [0, 1]: 0 is `sgd` without
      momentum.
    - ``weight_decay``: L2 penalty.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByQhmState`, in the parameters' shapes and dtypes.

    **Complex parameters:** pass the conjugate of `jax.grad`'s result, as for `sgd`.

    **Raises:** `ValueError` for a number out of range.

    **Source:** Ma and Yarats, "Quasi-hyperbolic momentum and Adam for deep learning",
    2019, [arXiv:1810.06801](https://arxiv.org/abs/1810.06801).
    """
    return assemble(
        scale_by_qhm(momentum, nu),
        lr=lr,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
