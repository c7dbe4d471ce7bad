"""Yogi."""

from __future__ import annotations

from ..optimizers._yogi import yogi
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class Yogi(Optimizer):
    """Adam with a second moment that changes slowly; `optifunc.yogi`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `yogi`.

    **Raises:** see `yogi`.
    """

    factory = yogi
    layout = TorchLayout("step", "exp_avg", "exp_avg_sq")
