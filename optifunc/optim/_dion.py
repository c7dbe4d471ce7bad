"""Dion."""

from __future__ import annotations

from ..optimizers._dion import dion
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class Dion(Optimizer):
    """Orthogonal updates of low rank; `optifunc.dion`.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `dion`.
    """

    factory = dion
    layout = TorchLayout("momentum", "Q")
    no_complex = "{name} does not support complex parameters"
