"""RMSprop."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import (
    first_moment,
    increment,
    is_zero,
    one_minus_power,
    second_moment,
    sqrt,
    squared,
)
from .._placement import full_like, zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..transforms._momentum import momentum as momentum_buffer
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory
from ._options import check_option


class ScaleByRmspropState(NamedTuple):
    """State of `scale_by_rmsprop`.

    **Fields:**

    - ``square_avg``: the average of each parameter's squared gradients.
    - ``grad_avg``: the same for the gradients; None if not ``centered``.
    - ``step``: int32 [], updates done so far; None without ``bias_correction``.
    """

    square_avg: Annotated[NonNegative, Keeps("alpha")]
    grad_avg: Annotated[PerParameter | None, Keeps("alpha")]
    step: Shared | None


@elementwise(outputs=3, static=("eps_in_sqrt", "by_modulus"))
def _rmsprop(
    updates: Array,
    square_avg: Array,
    grad_avg: Array | None,
    *,
    weight: Array,
    eps: Array,
    correction: Array | None,
    eps_in_sqrt: bool,
    by_modulus: bool,
) -> tuple[Array, Array, Array | None]:
    square_avg = second_moment(square_avg, updates, weight, by_modulus)
    variance = square_avg if correction is None else square_avg / correction
    if grad_avg is not None:
        grad_avg = first_moment(grad_avg, updates, weight)
        mean = grad_avg if correction is None else grad_avg / correction
        variance = variance - squared(mean, by_modulus)
    root = sqrt(variance + eps) if eps_in_sqrt else sqrt(variance) + eps
    return updates / root, square_avg, grad_avg


@transformation
class scale_by_rmsprop(GradientTransformation):
    """Divide by the root of the mean square of the gradients, or by their deviation.

    The rule: see `rmsprop`.

    **Arguments:**

    - ``alpha``, ``eps``, ``centered``, ``initial_scale``, ``eps_in_sqrt``,
      ``bias_correction``: see `rmsprop`.
    - ``by_modulus``: divide both parts of a complex element by the root of the mean of
      ``|g|^2``, as optax does; False: divide each part by its own.

    **State:** `ScaleByRmspropState`.

    **Raises:** `ValueError` for a number out of range, and at `update` for a state that
    was made with the other value of ``centered`` or ``bias_correction``.
    """

    alpha: Value = 0.99
    eps: Value = 1e-8
    centered: bool = static(default=False)
    _: dataclasses.KW_ONLY
    initial_scale: Value = 0.0
    eps_in_sqrt: bool = static(default=False)
    bias_correction: bool = static(default=False)
    by_modulus: bool = static(default=False)

    def __post_init__(self) -> None:
        below = 1 if self.bias_correction else None
        check_range("alpha", self.alpha, at_least=0, below=below)
        check_range("eps", self.eps, at_least=0)
        check_range("initial_scale", self.initial_scale, at_least=0)

    def init(self, params: PyTree) -> ScaleByRmspropState:
        return ScaleByRmspropState(
            square_avg=full_like(params, self.initial_scale, both_parts=True),
            grad_avg=zeros_like(params) if self.centered else None,
            step=jnp.zeros((), jnp.int32) if self.bias_correction else None,
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByRmspropState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByRmspropState]:
        check_option(self, "centered", state.grad_avg, state.square_avg)
        check_option(self, "bias_correction", state.step, state.square_avg)
        step = None if state.step is None else increment(state.step)
        updates, square_avg, grad_avg = _rmsprop(
            updates,
            state.square_avg,
            state.grad_avg,
            weight=1 - self.alpha,
            eps=self.eps,
            correction=None if step is None else one_minus_power(self.alpha, step),
            eps_in_sqrt=self.eps_in_sqrt,
            by_modulus=self.by_modulus,
        )
        return updates, ScaleByRmspropState(square_avg, grad_avg, step)


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
    initial_scale: Hyperparameter = 0.0,
    eps_in_sqrt: bool = False,
    bias_correction: bool = False,
    nesterov: bool = False,
) -> GradientTransformation:
    """`torch.optim.RMSprop`: divide by a moving average of the gradient's size.

    ::

        g = g + weight_decay * p
        v = alpha * v + (1 - alpha) * g^2,                    v_0 = initial_scale
        a = alpha * a + (1 - alpha) * g                       (if centered)
        c = 1 - alpha^t  with bias_correction,  else  1
        w = v / c - (a / c)^2  if centered,  else  v / c
        d = g / (sqrt(w) + eps),  or with eps_in_sqrt  g / sqrt(w + eps)
        b = momentum * b + d                                  (with momentum)
        u = -lr * b,  or with nesterov  -lr * (d + momentum * b)

    As in torch, the variance ``w`` is not clamped: for a constant gradient, rounding
    may make it negative, and the update NaN.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``alpha``: decay rate of the averages, at least 0; with ``bias_correction``
      below 1.
    - ``eps``: added to the root.
    - ``weight_decay``: L2 penalty.
    - ``momentum``: the weight of the old buffer (the number 0: no buffer).
    - ``centered``: divide by the deviation from the mean.
    - ``maximize``: climb instead of descending.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``initial_scale``: the initial average of the squares; for a schedule, its first
      value.
    - ``eps_in_sqrt``: add ``eps`` inside the root.
    - ``bias_correction``: divide the averages by ``1 - alpha^t``.
    - ``nesterov``: look ahead by one more step of the buffer; needs ``momentum``.

    The last four are optax's, which has ``eps_in_sqrt=True``; for TensorFlow's RMSprop,
    combine that with ``initial_scale=1``.

    Each number may be an array or a schedule.

    **State:** `ScaleByRmspropState` and, with momentum, `MomentumState`, their trees in
    the parameters' shapes and dtypes. (torch also counts steps there, but does not use
    the count.)

    **Complex parameters:** real and imaginary parts are treated as separate parameters,
    as in torch; pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, and for ``nesterov`` without
    ``momentum``.

    **Source:** Tieleman and Hinton, "Lecture 6.5: RMSProp", 2012; centered: Graves,
    "Generating Sequences With Recurrent Neural Networks", 2013,
    [arXiv:1308.0850](https://arxiv.org/abs/1308.0850).
    """
    buffer = []
    if nesterov or not is_zero(momentum):
        buffer = [momentum_buffer(momentum, nesterov=nesterov)]
    return assemble(
        scale_by_rmsprop(
            alpha,
            eps,
            centered,
            initial_scale=initial_scale,
            eps_in_sqrt=eps_in_sqrt,
            bias_correction=bias_correction,
        ),
        *buffer,
        lr=lr,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
