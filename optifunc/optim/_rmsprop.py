"""RMSprop."""

from __future__ import annotations

from typing import Any

from ..optimizers._rmsprop import rmsprop
from ._checks import check_eps, check_lr, check_not_negative
from ._layouts import TorchLayout
from ._optimizer import Optimizer
from ._signatures import given


class RMSprop(Optimizer):
    """`torch.optim.RMSprop`; `optifunc.rmsprop`, stateful.

    **Arguments:**

    - ``params``, and the flags that choose an implementation: see `Optimizer`.
    - the others: see `rmsprop`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = rmsprop
    layout = TorchLayout("step", "square_avg", "momentum_buffer", "grad_avg")
    counts_steps = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        values = given(
            locals(), torch_order="momentum alpha eps centered weight_decay capturable"
        )
        check_lr(lr)
        check_eps(eps)
        check_not_negative(momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        super().__init__(params, values)
