"""AdaBound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._transformation import GradientTransformation
from ..optimizers._adabound import adabound
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class AdaBound(Optimizer):
    """Adam whose step sizes are bounded; `optifunc.adabound`, stateful.

    By default, ``base_lr`` is the constructor's ``lr``, even if schedulers change
    ``lr``.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `adabound`.

    **Raises:** see `adabound`.
    """

    factory = adabound
    layout = TorchLayout("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def build(self, values: Mapping[str, Any]) -> GradientTransformation:
        if values["base_lr"] is None:
            values = {**values, "base_lr": self.defaults["lr"]}
        return super().build(values)
