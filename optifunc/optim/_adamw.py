"""AdamW."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from .._transformation import GradientTransformation
from ..optimizers._adam import adamw
from ._adam import Adam


class AdamW(Adam):
    """`torch.optim.AdamW`: Adam, with decoupled weight decay; `optifunc.adamw`.

    **Arguments:**

    - ``params``, and the flags that choose an implementation: see `Optimizer`.
    - the others: see `adamw`.

    **Raises:** see `Adam`.
    """

    factory: ClassVar[Callable[..., GradientTransformation]] = adamw

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        # Old checkpoints say False but mean True.
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
