"""diffGrad."""

from __future__ import annotations

from ..optimizers._diffgrad import diffgrad
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class DiffGrad(Optimizer):
    """`optifunc.diffgrad`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `diffgrad`.
    """

    factory = diffgrad
    layout = TorchLayout("step", "exp_avg", "exp_avg_sq", "previous_grad")
