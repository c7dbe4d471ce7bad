"""Signum."""

from __future__ import annotations

from ..optimizers._signum import signum
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class Signum(Optimizer):
    """The sign of the momentum; `optifunc.signum`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `signum`.

    **Raises:** see `signum`.
    """

    factory = signum
    layout = TorchLayout("momentum_buffer")
