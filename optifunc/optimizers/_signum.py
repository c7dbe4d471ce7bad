"""Signum and Tiger: the sign of the momentum."""

from __future__ import annotations

from .._hyperparameters import Hyperparameter
from .._transformation import GradientTransformation
from ..transforms._momentum import momentum as momentum_buffer
from ..transforms._scaling import scale_by_sign
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


@factory
def signum(
    lr: Hyperparameter = 1e-3,
    momentum: Hyperparameter = 0.9,
    weight_decay: Hyperparameter = 0.0,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Signum: the sign of the momentum.

    ::

        b = momentum * b + g
        u = -lr * (sign(b) + weight_decay * p)

    A mean of the gradients, ``(1 - momentum) * b``, has the same sign.

    **Arguments:**

    - ``lr``: the learning rate, by which every element moves.
    - ``momentum``: the weight of the old buffer; 0 is signSGD.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `MomentumState`, with ``momentum_buffer`` in the parameters' shapes and
    dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing.

    **Source:** Bernstein, Wang, Azizzadenesheli and Anandkumar, "signSGD: Compressed
    Optimisation for Non-Convex Problems", 2018,
    [arXiv:1802.04434](https://arxiv.org/abs/1802.04434).
    """
    return assemble(
        momentum_buffer(momentum),
        scale_by_sign(),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )


@factory
def tiger(
    lr: Hyperparameter = 1e-3,
    momentum: Hyperparameter = 0.965,
    weight_decay: Hyperparameter = 0.01,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Tiger: the sign of the momentum, and decay.

    The rule: see `signum`, with other defaults. It is also that of `lion` with two
    equal ``betas``. The author's code also scales the steps by the sizes of the
    parameters, and does not decay biases; use ``mask`` for that.

    **Arguments:**

    - ``lr``, ``momentum``: see `signum`.
    - ``weight_decay``, ``mask``, ``maximize``: see `signum`.

    **State:** `MomentumState`, with ``momentum_buffer`` in the parameters' shapes and
    dtypes.

    **Raises:** what `signum` does.

    **Source:** Su, "Tiger: A Tight-fisted Optimizer",
    [2023](https://github.com/bojone/tiger).
    """
    return signum(lr, momentum, weight_decay, mask=mask, maximize=maximize)
