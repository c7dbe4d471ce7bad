"""Adam."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..optimizers._adam import adam
from ._checks import (
    check_betas,
    check_eps,
    check_lr,
    check_not_negative,
    is_array_valued,
    require,
)
from ._layouts import TorchLayout
from ._optimizer import Optimizer
from ._signatures import given


class Adam(Optimizer):
    """`torch.optim.Adam`; `optifunc.adam`, stateful.

    **Arguments:**

    - ``params``, and the flags that choose an implementation: see `Optimizer`.
    - the others: see `adam`.

    **Raises:** `ValueError` for a number out of range, and if only one of ``betas`` is
    an array; `RuntimeError` for ``fused`` with ``foreach`` or ``differentiable``.
    """

    factory = adam
    layout = TorchLayout("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    no_sparse = (
        "Adam does not support sparse gradients, please consider SparseAdam instead"
    )

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        values = given(
            locals(), torch_order="maximize foreach capturable differentiable fused"
        )
        unsupported = "as a Tensor is not supported for capturable=False and foreach="
        if is_array_valued(lr):
            require(not foreach or capturable, f"lr {unsupported}True")
        check_lr(lr)
        check_eps(eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        arrays = [is_array_valued(beta) for beta in betas]
        require(
            all(arrays) or all(isinstance(beta, float) for beta in betas),
            "betas must be either both floats or both Tensors",
        )
        for i, beta in enumerate(betas):
            if arrays[i]:
                require(not foreach or capturable, f"betas[{i}] {unsupported}True")
                require(np.size(beta) == 1, f"Tensor betas[{i}] must be 1-element")
        if fused:
            require(
                not differentiable,
                "`fused` does not support `differentiable`",
                RuntimeError,
            )
            require(
                not foreach,
                "`fused` and `foreach` cannot be `True` together.",
                RuntimeError,
            )
        super().__init__(params, values)
