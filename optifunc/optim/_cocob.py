"""COCOB."""

from __future__ import annotations

from ..optimizers._cocob import cocob
from ._optimizer import Optimizer


class COCOB(Optimizer):
    """`optifunc.cocob`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `cocob`.
    """

    factory = cocob
