"""Gradient descent with Polyak's step size."""

from __future__ import annotations

from ..optimizers._polyak_sgd import polyak_sgd
from ._loss_optimizer import LossOptimizer


class PolyakSGD(LossOptimizer):
    """Descent whose step size is found from the loss; `optifunc.polyak_sgd`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `polyak_sgd`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = polyak_sgd
