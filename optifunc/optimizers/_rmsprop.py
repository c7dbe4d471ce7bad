"""RMSprop."""

from typing import Any, NamedTuple

from jax import Array

from .._checks import check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import first_moment, is_zero, second_moment, sqrt
from .._state import NonNegative, PerParameter
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, zeros_like
from ..transforms._momentum import momentum as momentum_buffer
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory
from ._options import check_option


class ScaleByRmspropState(NamedTuple):
    """State of `scale_by_rmsprop`.

    **Fields:**

    - ``square_avg``: for each parameter the average of the squared gradients.
    - ``grad_avg``: likewise of the gradients; None if not ``centered``.
    """

    square_avg: NonNegative
    grad_avg: PerParameter | None


@elementwise(outputs=3)
def _rmsprop(
    updates: Array,
    square_avg: Array,
    grad_avg: Array | None,
    *,
    weight: Array,
    eps: Array,
) -> tuple[Array, Array, Array | None]:
    square_avg = second_moment(square_avg, updates, weight)
    variance = square_avg
    if grad_avg is not None:
        grad_avg = first_moment(grad_avg, updates, weight)
        variance = square_avg - grad_avg * grad_avg
    return updates / (sqrt(variance) + eps), square_avg, grad_avg


@transformation
class scale_by_rmsprop(GradientTransformation):
    """Divide by the root of the mean square of the gradients, or by their deviation.

    The rule: see `rmsprop`.

    **Arguments:**

    - ``alpha``, ``eps``, ``centered``: see `rmsprop`.

    **State:** `ScaleByRmspropState`.

    **Raises:** `ValueError` for a number out of range, and at `update` for a state that
    was made with the other value of ``centered``.
    """

    alpha: Value = 0.99
    eps: Value = 1e-8
    centered: bool = static(default=False)

    def __post_init__(self) -> None:
        check_range("alpha", self.alpha, at_least=0)
        check_range("eps", self.eps, at_least=0)

    def init(self, params: PyTree) -> ScaleByRmspropState:
        return ScaleByRmspropState(
            square_avg=zeros_like(params),
            grad_avg=zeros_like(params) if self.centered else None,
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByRmspropState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByRmspropState]:
        check_option(self, "centered", state.grad_avg, state.square_avg)
        updates, *trees = _rmsprop(
            updates,
            state.square_avg,
            state.grad_avg,
            weight=1 - self.alpha,
            eps=self.eps,
        )
        return updates, ScaleByRmspropState(*trees)


@factory
def rmsprop(
    lr: Hyperparameter = 1e-2,
    alpha: Hyperparameter = 0.99,
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    momentum: Hyperparameter = 0.0,
    centered: bool = False,
    maximize: bool = False,
    *,
    mask: Mask | None = None,
) -> GradientTransformation:
    """`torch.optim.RMSprop`: divide by a moving average of the gradient's size.

    ::

        g = g + weight_decay * p
        v = alpha * v + (1 - alpha) * g^2
        a = alpha * a + (1 - alpha) * g                       (if centered)
        d = g / (sqrt(v - a^2) + eps)  if centered,  else  g / (sqrt(v) + eps)
        b = momentum * b + d                                  (with momentum)
        u = -lr * b

    The variance ``v - a^2`` is not clamped, as in torch: a gradient that stays the
    same may make it negative by rounding, and the update NaN.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``alpha``: decay rate of the averages, at least 0.
    - ``eps``: added to the root.
    - ``weight_decay``: L2 penalty.
    - ``momentum``: how much of the buffer is kept (the number 0: no buffer).
    - ``centered``: divide by the deviation from the mean.
    - ``maximize``: climb instead of descending.
    - ``mask``: which parameters decay, as `assemble` takes it; None: all of them.

    Each number may be an array or a schedule.

    **State:** `ScaleByRmspropState` and, with momentum, `MomentumState`, their trees in
    the parameters' shapes and dtypes. (torch also counts steps there, and does not use
    the count.)

    **Complex parameters:** real and imaginary parts are treated as parameters of
    their own, as in torch; give the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range.

    **Source:** Tieleman and Hinton, "Lecture 6.5: RMSProp", 2012; centered: Graves,
    "Generating Sequences With Recurrent Neural Networks", 2013,
    [arXiv:1308.0850](https://arxiv.org/abs/1308.0850).
    """
    return assemble(
        scale_by_rmsprop(alpha, eps, centered),
        *([] if is_zero(momentum) else [momentum_buffer(momentum)]),
        lr=lr,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
