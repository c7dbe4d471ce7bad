"""ACProp."""

from __future__ import annotations

from ..optimizers._acprop import acprop
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class ACProp(Optimizer):
    """`optifunc.acprop`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `acprop`.
    """

    factory = acprop
    layout = TorchLayout("step", "exp_avg", "exp_avg_var")
