"""LaProp."""

from __future__ import annotations

from ..optimizers._laprop import laprop
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class LaProp(Optimizer):
    """Adam with the division before the mean; `optifunc.laprop`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `laprop`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = laprop
    layout = TorchLayout(
        "step", "exp_avg", "exp_avg_lr_1", "exp_avg_sq", "exp_mean_avg_beta2"
    )
