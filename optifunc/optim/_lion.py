"""Lion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._transformation import GradientTransformation
from ..optimizers._lion import lion
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class Lion(Optimizer):
    """The sign of a mean of the gradients; `optifunc.lion`, stateful.

    It loads the state dicts of lion-pytorch. These do not say whether the decay is
    independent of the learning rate: as in that package, the constructor's argument
    applies. By default, ``peak_lr`` is the constructor's ``lr``, even if schedulers
    change ``lr``.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `lion`.

    **Raises:** see `lion`.
    """

    factory = lion
    layout = TorchLayout("exp_avg")
    unsaved = frozenset({"decoupled_weight_decay", "mode", "smooth_beta", "peak_lr"})

    def build(self, values: Mapping[str, Any]) -> GradientTransformation:
        if values["decoupled_weight_decay"] and values["peak_lr"] is None:
            values = {**values, "peak_lr": self.defaults["lr"]}
        return super().build(values)
