"""ASGD."""

from __future__ import annotations

from typing import Any

from ..optimizers._asgd import asgd
from ._checks import check_lr, check_not_negative
from ._layouts import TorchLayout
from ._optimizer import Optimizer
from ._signatures import given


class ASGD(Optimizer):
    """`torch.optim.ASGD`: averaged gradient descent; `optifunc.asgd`, stateful.

    A changed ``lr`` takes effect one step late, as in torch. The average of the
    iterates is ``state[i]["ax"]``.

    **Arguments:**

    - ``params``, and the flags that choose an implementation: see `Optimizer`.
    - the others: see `asgd`.

    **Raises:** `ValueError` for a negative ``lr`` or ``weight_decay``, and for NaN.
    """

    factory = asgd
    layout = TorchLayout("step", "eta", "mu", "ax")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        values = given(locals())
        check_lr(lr)
        check_not_negative(weight_decay=weight_decay)
        super().__init__(params, values)
