"""Adamax."""

from __future__ import annotations

from typing import Any

from ..optimizers._adamax import adamax
from ._checks import check_betas, check_eps, check_lr, check_not_negative
from ._layouts import TorchLayout
from ._optimizer import Optimizer
from ._signatures import given


class Adamax(Optimizer):
    """`torch.optim.Adamax`: Adam with the largest gradient; `optifunc.adamax`.

    **Arguments:**

    - ``params``, and the flags that choose an implementation: see `Optimizer`.
    - the others: see `adamax`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = adamax
    layout = TorchLayout("step", "exp_avg", "exp_inf")

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        values = given(locals())
        check_lr(lr)
        check_eps(eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        super().__init__(params, values)
