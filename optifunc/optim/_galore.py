"""GaLore."""

from __future__ import annotations

from ..optimizers._galore import galore
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class GaLoreAdamW(Optimizer):
    """`optifunc.galore`, stateful.

    Checkpoints of the authors' class hold an object in place of a projection and cannot
    be loaded.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `galore`.
    """

    factory = galore
    layout = TorchLayout("step", "exp_avg", "exp_avg_sq", "projection")
    no_complex = "{name} does not support complex parameters"
