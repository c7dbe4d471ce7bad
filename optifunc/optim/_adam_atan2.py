"""AdamAtan2."""

from __future__ import annotations

from ..optimizers._adam_atan2 import adam_atan2
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class AdamAtan2(Optimizer):
    """Adam with an arc tangent for its division; `optifunc.adam_atan2`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `adam_atan2`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = adam_atan2
    layout = TorchLayout("step", "exp_avg", "exp_avg_sq")
