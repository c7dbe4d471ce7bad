"""APOLLO."""

from __future__ import annotations

from ..optimizers._apollo import apollo
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class Apollo(Optimizer):
    """`optifunc.apollo`, stateful.

    Checkpoints of the authors' class hold an object in place of a projection and cannot
    be loaded.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `apollo`.
    """

    factory = apollo
    layout = TorchLayout(
        "step", "exp_avg", "exp_avg_sq", "key", "projection", "last_norm"
    )
    no_complex = "{name} does not support complex parameters"
