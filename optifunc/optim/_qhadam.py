"""QHAdam."""

from __future__ import annotations

from ..optimizers._qhadam import qhadam
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class QHAdam(Optimizer):
    """Adam with quasi-hyperbolic moments; `optifunc.qhadam`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `qhadam`.

    **Raises:** see `qhadam`.
    """

    factory = qhadam
    layout = TorchLayout("step", "exp_avg", "exp_avg_sq")
