"""LARS."""

from __future__ import annotations

from .._hyperparameters import Hyperparameter
from .._numerics import is_zero
from .._transformation import GradientTransformation
from ..transforms._momentum import momentum as momentum_buffer
from ..transforms._scaling import scale_by_learning_rate
from ..transforms._trust_ratio import scale_by_trust_ratio
from ..wrappers._masked import masked
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


@factory
def lars(
    lr: Hyperparameter = 1e-3,
    momentum: Hyperparameter = 0.9,
    weight_decay: Hyperparameter = 0.0,
    trust_coefficient: Hyperparameter = 1e-3,
    eps: Hyperparameter = 0.0,
    nesterov: bool = False,
    *,
    mask: Mask | None = None,
    trust_ratio_mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """LARS: SGD with steps in proportion to the size of each parameter.

    ::

        g = g + weight_decay * p
        s = trust_coefficient * norm(p) / (norm(g) + eps) * g
        s = g                                                 (where a norm is 0)
        b = momentum * b - lr * s
        u = b,  or with nesterov  momentum * b - lr * s

    The norms are those of whole leaves. The learning rate is inside the buffer, so a
    schedule affects only what is added to it. With a constant ``lr``, there is no
    difference. Biases and normalization scales are better left out of both the decay
    and the scaling::

        def is_weight(path, leaf):
            return leaf.ndim > 1 and not path.endswith("bias")

        tx = of.lars(1.0, weight_decay=1e-4, mask=is_weight, trust_ratio_mask=is_weight)

    **Arguments:**

    - ``lr``: the learning rate. Recipes have values of 1 and more.
    - ``momentum``: the weight of the old buffer (the number 0: no buffer).
    - ``weight_decay``: L2 penalty, which is scaled together with the gradient.
    - ``trust_coefficient``: the size of a step with ``lr=1`` relative to the
      parameter's.
    - ``eps``: added to the norm of the gradient.
    - ``nesterov``: look ahead.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``trust_ratio_mask``: which gradients are scaled, in the same form.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `MomentumState`, with ``momentum_buffer`` in the parameters' shapes and
    dtypes; nothing without momentum.

    **Complex parameters:** a norm counts real and imaginary parts; give the conjugate
    of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, for ``nesterov`` without
    momentum, and at `update` if ``params`` is missing.

    **Source:** You, Gitman and Ginsburg, "Large Batch Training of Convolutional
    Networks", 2017, [arXiv:1708.03888](https://arxiv.org/abs/1708.03888).
    """
    trust = scale_by_trust_ratio(trust_coefficient=trust_coefficient, eps=eps)
    with_buffer = nesterov or not is_zero(momentum)
    return assemble(
        trust if trust_ratio_mask is None else masked(trust, trust_ratio_mask),
        scale_by_learning_rate(lr),
        *([momentum_buffer(momentum, nesterov=nesterov)] if with_buffer else []),
        lr=None,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
