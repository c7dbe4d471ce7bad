"""StableAdamW."""

from __future__ import annotations

from typing import Any

from ..optimizers._stableadamw import stableadamw
from ..wrappers._selection import Mask
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class StableAdamW(Optimizer):
    """AdamW with smaller steps where the second moment lags; `optifunc.stableadamw`.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `stableadamw`. By default, ``max_lr`` is the learning rate passed
      here, even if a scheduler changes it.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = stableadamw
    layout = TorchLayout("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 1e-2,
        eps: float = 1e-6,
        decouple_lr: bool = False,
        max_lr: float | None = None,
        *,
        mask: Mask | None = None,
        maximize: bool = False,
    ) -> None:
        if decouple_lr and max_lr is None:
            max_lr = lr
        values = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "eps": eps,
            "decouple_lr": decouple_lr,
            "max_lr": max_lr,
            "mask": mask,
            "maximize": maximize,
        }
        stableadamw(**values)
        super().__init__(params, values)
