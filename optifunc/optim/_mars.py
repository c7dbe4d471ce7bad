"""MARS."""

from __future__ import annotations

from ..optimizers._mars import mars
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class MARS(Optimizer):
    """`optifunc.mars`, stateful.

    Its steps use no second gradient: ``is_approx`` must be True. Parameters that are
    not matrices follow the same rule, as in the authors' code with
    ``optimize_1d=True``. To leave them to AdamW, which is that code's default, use
    `Stateful` with a `partition`. It loads the ``state_dict`` of the authors' class.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `mars`.
    """

    factory = mars
    layout = TorchLayout("step", "exp_avg", "exp_avg_sq", "last_grad", step_type=int)
    unsaved = frozenset({"ns_dtype", "mask", "maximize"})
