"""MADGRAD."""

from __future__ import annotations

from ..optimizers._madgrad import madgrad
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class MADGRAD(Optimizer):
    """Dual averaging; `optifunc.madgrad`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `madgrad`.

    **Raises:** see `madgrad`.
    """

    factory = madgrad
    layout = TorchLayout("step", "grad_sum_sq", "s", "x0")
