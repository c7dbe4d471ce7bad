"""Adagrad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._transformation import GradientTransformation
from ..optimizers._adagrad import adagrad
from ._checks import check_eps, check_lr, check_not_negative
from ._layouts import TorchLayout
from ._optimizer import Optimizer
from ._signatures import given


class Adagrad(Optimizer):
    """`torch.optim.Adagrad`; `optifunc.adagrad`, stateful.

    The constructor's parameters have state from the start. As in torch, the
    constructor's ``initial_accumulator_value`` applies even if a group has another.

    **Arguments:**

    - ``params``, and the flags that choose an implementation: see `Optimizer`.
    - the others: see `adagrad`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = adagrad
    layout = TorchLayout("step", "sum")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        values = given(
            locals(), torch_order="eps weight_decay initial_accumulator_value foreach"
        )
        check_lr(lr)
        check_not_negative(
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
        )
        check_eps(eps)
        super().__init__(params, values)
        count = len(self._gradients)
        self._cohorts, _, self._order = self._plan([True] * count)

    def build(self, values: Mapping[str, Any]) -> GradientTransformation:
        name = "initial_accumulator_value"
        return super().build({**values, name: self.defaults[name]})
