"""AdaBelief."""

from __future__ import annotations

from ..optimizers._adabelief import adabelief
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class AdaBelief(Optimizer):
    """Adam with the variance of the gradients; `optifunc.adabelief`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `adabelief`.

    **Raises:** see `adabelief`.
    """

    factory = adabelief
    layout = TorchLayout("step", "exp_avg", "exp_avg_var")
