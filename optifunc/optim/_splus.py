"""SPlus."""

from __future__ import annotations

from ..optimizers._splus import splus
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class SPlus(Optimizer):
    """Signs in the eigenbasis of Shampoo's factors; `optifunc.splus`, stateful.

    ``of.eval_params(*optimizer.functional())`` returns the averages to evaluate.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `splus`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = splus
    layout = TorchLayout("step", "exp_avg", "ema", "sides", "q_sides", step_type=int)
    no_complex = "{name} does not support complex parameters"
