"""AdaLomo."""

from __future__ import annotations

from ..optimizers._adalomo import adalomo
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class AdaLomo(Optimizer):
    """Adafactor with steps in proportion to the parameters; `optifunc.adalomo`.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `adalomo`.
    """

    factory = adalomo
    layout = TorchLayout("step", "exp_avg_sq_row", "exp_avg_sq_col", "exp_avg_sq")
    no_complex = "{name} does not support complex parameters"
