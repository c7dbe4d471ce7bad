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
    independent of the learning rate: as there, it is as the constructor was told, and
    ``peak_lr`` is by default the constructor's ``lr``, whatever schedulers do to that.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `lion`.

    **Raises:** what `lion` does.
    """

    factory = lion
    layout = TorchLayout("exp_avg")
    unsaved = frozenset({"decoupled_weight_decay", "mode", "smooth_beta", "peak_lr"})

    def build(self, values: Mapping[str, Any]) -> GradientTransformation:
        if values["decoupled_weight_decay"] and values["peak_lr"] is None:
            values = {**values, "peak_lr": self.defaults["lr"]}
        return super().build(values)
