"""LAMB."""

from __future__ import annotations

from .._hyperparameters import Hyperparameter
from .._transformation import GradientTransformation
from ..transforms._trust_ratio import scale_by_trust_ratio
from ..wrappers._masked import masked
from ..wrappers._selection import Mask
from ._adam import scale_by_adam
from ._assemble import assemble
from ._factory import factory


@factory
def lamb(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-6,
    weight_decay: Hyperparameter = 0.0,
    *,
    mask: Mask | None = None,
    trust_ratio_mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """LAMB: Adam's direction, scaled for each leaf to the size of its parameter.

    ::

        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g^2
        d = (m / (1 - betas[0]^t)) / (sqrt(v / (1 - betas[1]^t)) + eps)
        d = d + weight_decay * p
        u = -lr * norm(p) / norm(d) * d,  or  -lr * d  where a norm is 0

    The norms are those of whole leaves. A step changes each of them by the fraction
    ``lr``, regardless of the scale of its gradients. Biases and normalization scales
    are better left out of both the decay and the scaling::

        def is_weight(path, leaf):
            return leaf.ndim > 1 and not path.endswith("bias")

        tx = of.lamb(weight_decay=0.01, mask=is_weight, trust_ratio_mask=is_weight)

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``eps``: added to the root, after its correction.
    - ``weight_decay``: decoupled decay, which is scaled together with the direction.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``trust_ratio_mask``: which updates are scaled, in the same form.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByAdamState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** in the moments real and imaginary parts are treated as
    separate parameters; a norm counts both.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params``
    is missing.

    **Source:** You et al., "Large Batch Optimization for Deep Learning: Training BERT
    in 76 minutes", 2020, [arXiv:1904.00962](https://arxiv.org/abs/1904.00962), with
    ``phi`` the identity.
    """
    trust = scale_by_trust_ratio()
    return assemble(
        scale_by_adam(betas, eps),
        # The decay comes before the norms are taken.
        assemble(
            trust if trust_ratio_mask is None else masked(trust, trust_ratio_mask),
            lr=None,
            weight_decay=weight_decay,
            decay="coupled",
            mask=mask,
        ),
        lr=lr,
        maximize=maximize,
    )
