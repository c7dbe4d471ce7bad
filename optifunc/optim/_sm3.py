"""SM3."""

from __future__ import annotations

from ..optimizers._sm3 import sm3
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class SM3(Optimizer):
    """Adagrad with accumulators for rows and columns; `optifunc.sm3`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `sm3`.

    **Raises:** see `sm3`.
    """

    factory = sm3
    layout = TorchLayout("accumulators", "momentum_buffer")
