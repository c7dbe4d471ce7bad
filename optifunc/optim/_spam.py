"""SPAM."""

from __future__ import annotations

from ..optimizers._spam import spam
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class SPAM(Optimizer):
    """`optifunc.spam`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `spam`.
    """

    factory = spam
    layout = TorchLayout("step", "exp_avg", "exp_avg_sq")
