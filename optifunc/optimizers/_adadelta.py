"""Adadelta."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from jax import Array

from .._checks import check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import second_moment, sqrt
from .._placement import zeros_like
from .._state import Keeps, NonNegative
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleByAdadeltaState(NamedTuple):
    """State of `scale_by_adadelta`.

    **Fields:**

    - ``square_avg``: the average of each parameter's squared gradients.
    - ``acc_delta``: the same for the squared steps, before the learning rate.
    """

    square_avg: Annotated[NonNegative, Keeps("rho")]
    acc_delta: Annotated[NonNegative, Keeps("rho")]


@elementwise(outputs=3)
def _adadelta(
    updates: Array,
    square_avg: Array,
    acc_delta: Array,
    *,
    weight: Array,
    eps: Array,
) -> tuple[Array, Array, Array]:
    square_avg = second_moment(square_avg, updates, weight)
    delta = sqrt(acc_delta + eps) / sqrt(square_avg + eps) * updates
    return delta, square_avg, second_moment(acc_delta, delta, weight)


@transformation
class scale_by_adadelta(GradientTransformation):
    """Scale gradients to the size of previous updates.

    The rule: see `adadelta`.

    **Arguments:**

    - ``rho``, ``eps``: see `adadelta`.

    **State:** `ScaleByAdadeltaState`.

    **Raises:** `ValueError` for a number out of range.
    """

    rho: Value = 0.9
    eps: Value = 1e-6

    def __post_init__(self) -> None:
        check_range("rho", self.rho, at_least=0, at_most=1)
        check_range("eps", self.eps, at_least=0)

    def init(self, params: PyTree) -> ScaleByAdadeltaState:
        return ScaleByAdadeltaState(zeros_like(params), zeros_like(params))

    def update(
        self,
        updates: PyTree,
        state: ScaleByAdadeltaState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByAdadeltaState]:
        updates, square_avg, acc_delta = _adadelta(
            updates,
            state.square_avg,
            state.acc_delta,
            weight=1 - self.rho,
            eps=self.eps,
        )
        return updates, ScaleByAdadeltaState(square_avg, acc_delta)


@factory
def adadelta(
    lr: Hyperparameter = 1.0,
    rho: Hyperparameter = 0.9,
    eps: Hyperparameter = 1e-6,
    weight_decay: Hyperparameter = 0.0,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """`torch.optim.Adadelta`: steps in the units of the parameters.

    ::

        g = g + weight_decay * p
        v = rho * v + (1 - rho) * g^2
        d = sqrt(a + eps) / sqrt(v + eps) * g
        a = rho * a + (1 - rho) * d^2
        u = -lr * d

    **Arguments:**

    - ``lr``: the learning rate, which scales the steps but not their average.
    - ``rho``: decay rate of both averages, in [0, 1].
    - ``eps``: added inside both roots.
    - ``weight_decay``: L2 penalty.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByAdadeltaState`, its trees in the parameters' shapes and dtypes.
    (torch also counts steps there, but does not use the count.)

    **Complex parameters:** real and imaginary parts are treated as separate parameters,
    as in torch; pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range.

    **Source:** Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012,
    [arXiv:1212.5701](https://arxiv.org/abs/1212.5701).
    """
    return assemble(
        scale_by_adadelta(rho, eps),
        lr=lr,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
