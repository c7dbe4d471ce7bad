"""NovoGrad."""

from __future__ import annotations

from ..optimizers._novograd import novograd
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class NovoGrad(Optimizer):
    """Adam with one second moment for each parameter; `optifunc.novograd`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `novograd`.

    **Raises:** see `novograd`.
    """

    factory = novograd
    layout = TorchLayout("step", "exp_avg_sq", "momentum_buffer")
