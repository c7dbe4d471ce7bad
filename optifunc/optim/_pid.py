"""PID."""

from __future__ import annotations

from ..optimizers._pid import pid
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class PID(Optimizer):
    """`optifunc.pid`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `pid`.
    """

    factory = pid
    layout = TorchLayout("step", "i_buffer", "d_buffer", "grad_buffer")
