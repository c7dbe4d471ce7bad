"""AggMo."""

from __future__ import annotations

from ..optimizers._aggmo import aggmo
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class AggMo(Optimizer):
    """The mean of several momentum buffers; `optifunc.aggmo`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `aggmo`.

    **Raises:** see `aggmo`.
    """

    factory = aggmo
    layout = TorchLayout("momentum_buffer")
