"""Fromage."""

from __future__ import annotations

from ..optimizers._fromage import fromage
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class Fromage(Optimizer):
    """Steps of the size of each parameter; `optifunc.fromage`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `fromage`.

    **Raises:** see `fromage`.
    """

    factory = fromage
    layout = TorchLayout()
