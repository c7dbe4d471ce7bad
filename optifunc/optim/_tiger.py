"""Tiger."""

from __future__ import annotations

from ..optimizers._signum import tiger
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class Tiger(Optimizer):
    """The sign of the momentum, and decay; `optifunc.tiger`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `tiger`.

    **Raises:** see `tiger`.
    """

    factory = tiger
    layout = TorchLayout("momentum_buffer")
