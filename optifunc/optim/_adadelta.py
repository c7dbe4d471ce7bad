"""Adadelta."""

from __future__ import annotations

from typing import Any

from ..optimizers._adadelta import adadelta
from ._checks import check_eps, check_lr, check_not_negative, require
from ._layouts import TorchLayout
from ._optimizer import Optimizer
from ._signatures import given


class Adadelta(Optimizer):
    """`torch.optim.Adadelta`; `optifunc.adadelta`, stateful.

    **Arguments:**

    - ``params``, and the flags that choose an implementation: see `Optimizer`.
    - the others: see `adadelta`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = adadelta
    layout = TorchLayout("step", "square_avg", "acc_delta")
    counts_steps = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        values = given(
            locals(), torch_order="maximize capturable foreach differentiable"
        )
        check_lr(lr)
        require(0.0 <= rho <= 1.0, f"Invalid rho value: {rho}")
        check_eps(eps)
        check_not_negative(weight_decay=weight_decay)
        super().__init__(params, values)
