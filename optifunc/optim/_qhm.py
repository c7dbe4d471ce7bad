"""QHM."""

from __future__ import annotations

from ..optimizers._qhadam import qhm
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class QHM(Optimizer):
    """SGD with quasi-hyperbolic momentum; `optifunc.qhm`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `qhm`.

    **Raises:** see `qhm`.
    """

    factory = qhm
    layout = TorchLayout("momentum_buffer")
