"""Adam-mini."""

from __future__ import annotations

from ..optimizers._adam_mini import adam_mini
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class AdamMini(Optimizer):
    """`optifunc.adam_mini`, stateful.

    Checkpoints of the authors' ``Adam_mini`` have a different form for each kind of
    layer and cannot be loaded.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `adam_mini`.
    """

    factory = adam_mini
    layout = TorchLayout("step", "exp_avg", "exp_avg_sq")
    no_complex = "{name} does not support complex parameters"
