"""SGD."""

from __future__ import annotations

from typing import Any

from ..optimizers._sgd import sgd
from ._checks import check_lr, check_not_negative, require
from ._layouts import TorchLayout
from ._optimizer import Optimizer
from ._signatures import given


class SGD(Optimizer):
    """`torch.optim.SGD`: gradient descent with momentum; `optifunc.sgd`, stateful.

    **Arguments:**

    - ``params``, and the flags that choose an implementation: see `Optimizer`.
    - the others: see `sgd`.

    **Raises:** `ValueError` for a number out of range, and for ``nesterov`` without
    momentum or with dampening.
    """

    factory = sgd
    layout = TorchLayout("momentum_buffer")
    no_sparse = None

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        values = given(locals())
        check_lr(lr)
        check_not_negative(momentum=momentum, weight_decay=weight_decay)
        require(
            not nesterov or (momentum > 0 and dampening == 0),
            "Nesterov momentum requires a momentum and zero dampening",
        )
        super().__init__(params, values)
