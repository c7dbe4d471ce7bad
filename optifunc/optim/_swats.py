"""SWATS."""

from __future__ import annotations

from ..optimizers._swats import swats
from ._optimizer import Optimizer


class SWATS(Optimizer):
    """`optifunc.swats`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `swats`.
    """

    factory = swats
