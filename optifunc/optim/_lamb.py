"""LAMB."""

from __future__ import annotations

from ..optimizers._lamb import lamb
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class Lamb(Optimizer):
    """Adam's direction, scaled to each parameter's size; `optifunc.lamb`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `lamb`.

    **Raises:** see `lamb`.
    """

    factory = lamb
    layout = TorchLayout("step", "exp_avg", "exp_avg_sq")
