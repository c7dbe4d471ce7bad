"""RAdam."""

from __future__ import annotations

from typing import Any

from ..optimizers._radam import radam
from ._checks import check_betas, check_eps, check_lr, check_not_negative
from ._layouts import TorchLayout
from ._optimizer import Optimizer
from ._signatures import given


class RAdam(Optimizer):
    """`torch.optim.RAdam`: rectified Adam; `optifunc.radam`, stateful.

    **Arguments:**

    - ``params``, and the flags that choose an implementation: see `Optimizer`.
    - the others: see `radam`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = radam
    layout = TorchLayout("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        values = given(
            locals(),
            torch_order="maximize foreach capturable decoupled_weight_decay "
            "differentiable",
        )
        check_lr(lr)
        check_eps(eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        super().__init__(params, values)
