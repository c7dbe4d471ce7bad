"""Adafactor."""

from __future__ import annotations

from typing import Any

from ..optimizers._adafactor import adafactor
from ._checks import check_array_lr, require
from ._layouts import TorchLayout
from ._optimizer import Optimizer
from ._signatures import given


class Adafactor(Optimizer):
    """`torch.optim.Adafactor`; `optifunc.adafactor`, stateful.

    **Arguments:**

    - ``params``, and the flags that choose an implementation: see `Optimizer`.
    - the others: see `adafactor`.

    **Raises:** `ValueError` for a number out of range; at the step, `RuntimeError` for
    complex parameters.
    """

    factory = adafactor
    layout = TorchLayout("step", "row_var", "col_var", "variance")
    no_complex = "{name} does not support complex parameters"

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        values = given(locals())
        check_array_lr(lr)
        require(lr >= 0.0, f"Learning rate should be >= 0 but is: {lr}")
        require(beta2_decay <= 0.0, f"beta2_decay should be <= 0 but is: {beta2_decay}")
        require(
            eps[0] is None or eps[0] >= 0.0, f"epsilon1 should be >= 0 but is: {eps[0]}"
        )
        require(eps[1] >= 0.0, f"epsilon2 should be >= 0 but is: {eps[1]}")
        require(d >= 1.0, f"Clipping threshold d should be >= 1 but is: {d}")
        require(
            weight_decay >= 0.0, f"weight_decay should be >= 0 but is: {weight_decay}"
        )
        super().__init__(params, values)
