"""Stochastic gradient descent."""

from __future__ import annotations

from .._hyperparameters import Hyperparameter
from .._numerics import is_zero
from .._transformation import GradientTransformation
from ..transforms._momentum import momentum as momentum_buffer
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


@factory
def sgd(
    lr: Hyperparameter = 1e-3,
    momentum: Hyperparameter = 0.0,
    dampening: Hyperparameter = 0.0,
    weight_decay: Hyperparameter = 0.0,
    nesterov: bool = False,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """`torch.optim.SGD`: gradient descent, optionally with momentum.

    ::

        g = g + weight_decay * p
        b = g  at the first step,  else  momentum * b + (1 - dampening) * g
        u = -lr * b,  or with nesterov  -lr * (g + momentum * b)

    **Arguments:**

    - ``lr``: the learning rate.
    - ``momentum``: the weight of the old buffer (the number 0: no buffer).
    - ``dampening``: the fraction of a gradient that is left out of it.
    - ``weight_decay``: L2 penalty.
    - ``nesterov``: look ahead.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `MomentumState`, with ``momentum_buffer`` in the parameters' shapes and
    dtypes; nothing without momentum.

    **Complex parameters:** give the conjugate of `jax.grad`'s result, which is the
    direction of steepest ascent and what torch calls the gradient.

    **Raises:** `ValueError` for a number out of range, and for ``nesterov`` without
    momentum or with dampening.

    **Source:** Sutskever, Martens, Dahl and Hinton, "On the importance of
    initialization and momentum in deep learning",
    [ICML 2013](https://proceedings.mlr.press/v28/sutskever13.html).
    """
    with_buffer = nesterov or not is_zero(momentum)
    return assemble(
        *([momentum_buffer(momentum, dampening, nesterov)] if with_buffer else []),
        lr=lr,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
