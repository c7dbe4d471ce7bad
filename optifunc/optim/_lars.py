"""LARS."""

from __future__ import annotations

from ..optimizers._lars import lars
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class LARS(Optimizer):
    """SGD, scaled to the size of each parameter; `optifunc.lars`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `lars`.

    **Raises:** see `lars`.
    """

    factory = lars
    layout = TorchLayout("momentum_buffer")
