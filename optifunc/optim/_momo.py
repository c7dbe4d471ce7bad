"""MoMo and MoMo-Adam."""

from __future__ import annotations

from ..optimizers._momo import momo
from ..optimizers._momo_adam import momo_adam
from ._loss_optimizer import LossOptimizer


class Momo(LossOptimizer):
    """Momentum whose step size is found from the losses; `optifunc.momo`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `momo`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = momo


class MomoAdam(LossOptimizer):
    """Adam whose step size is found from the losses; `optifunc.momo_adam`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `momo_adam`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = momo_adam
