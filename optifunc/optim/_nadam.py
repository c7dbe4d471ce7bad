"""NAdam."""

from __future__ import annotations

from typing import Any

from ..optimizers._nadam import nadam
from ._checks import check_betas, check_eps, check_lr, check_not_negative
from ._layouts import TorchLayout
from ._optimizer import Optimizer
from ._signatures import given


class NAdam(Optimizer):
    """`torch.optim.NAdam`: Adam with Nesterov momentum; `optifunc.nadam`, stateful.

    **Arguments:**

    - ``params``, and the flags that choose an implementation: see `Optimizer`.
    - the others: see `nadam`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = nadam
    layout = TorchLayout("step", "mu_product", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        values = given(
            locals(), torch_order="maximize foreach capturable differentiable"
        )
        check_lr(lr)
        check_eps(eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay, momentum_decay=momentum_decay)
        super().__init__(params, values)
