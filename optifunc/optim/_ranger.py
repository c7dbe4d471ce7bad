"""Ranger."""

from __future__ import annotations

from ..optimizers._ranger import ranger
from ._optimizer import Optimizer


class Ranger(Optimizer):
    """RAdam with slow parameters; `optifunc.ranger`, stateful.

    ``of.eval_params(*optimizer.functional())`` returns the slow parameters.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `ranger`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = ranger
