"""Adan."""

from __future__ import annotations

from ..optimizers._adan import adan
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class Adan(Optimizer):
    """Adam with Nesterov's momentum; `optifunc.adan`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `adan`.

    **Raises:** see `adan`.
    """

    factory = adan
    layout = TorchLayout(
        "step", "exp_avg", "exp_avg_diff", "exp_avg_sq", "neg_pre_grad"
    )
