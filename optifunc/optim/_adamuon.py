"""AdaMuon."""

from __future__ import annotations

from ..optimizers._adamuon import adamuon
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class AdaMuon(Optimizer):
    """Muon with equally large steps for each element; `optifunc.adamuon`.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `adamuon`.
    """

    factory = adamuon
    layout = TorchLayout("step", "exp_avg", "exp_avg_sq", step_type=int)
    no_complex = "{name} does not support complex parameters"
