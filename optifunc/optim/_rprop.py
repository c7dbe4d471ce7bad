"""Rprop."""

from __future__ import annotations

from typing import Any

from ..optimizers._rprop import rprop
from ._checks import check_lr, require
from ._layouts import TorchLayout
from ._optimizer import Optimizer
from ._signatures import given


class Rprop(Optimizer):
    """`torch.optim.Rprop`: steps by signs, for full batches; `optifunc.rprop`.

    ``lr`` is the initial step size, and is read only when a parameter gets its first
    gradient, as in torch.

    **Arguments:**

    - ``params``, and the flags that choose an implementation: see `Optimizer`.
    - the others: see `rprop`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = rprop
    layout = TorchLayout("step", "prev", "step_size")
    counts_steps = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        values = given(
            locals(), torch_order="foreach maximize differentiable capturable"
        )
        check_lr(lr)
        require(
            0.0 < etas[0] < 1.0 < etas[1], f"Invalid eta values: {etas[0]}, {etas[1]}"
        )
        super().__init__(params, values)
