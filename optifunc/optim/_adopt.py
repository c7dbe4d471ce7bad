"""ADOPT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._transformation import GradientTransformation
from ..optimizers._adopt import Clipping, adopt, fourth_root
from ._layouts import TorchLayout
from ._optimizer import Optimizer
from ._signatures import bound, given


class ADOPT(Optimizer):
    """ADOPT, with the arguments and checkpoints of its authors; `optifunc.adopt`.

    **Arguments:**

    - ``params``, and the flags that choose an implementation: see `Optimizer`.
    - the others: see `adopt`. ``clip_lambda`` is one function for all groups and is not
      part of a checkpoint.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = adopt
    layout = TorchLayout("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.9999),
        eps: float = 1e-6,
        clip_lambda: Clipping | None = fourth_root,
        weight_decay: float = 0.0,
        decouple: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        own = {name: x for name, x in locals().items() if name != "clip_lambda"}
        adopt(lr, betas, eps, clip_lambda, weight_decay, decouple)
        self.clip_lambda = clip_lambda
        super().__init__(params, given(own))

    def build(self, values: Mapping[str, Any]) -> GradientTransformation:
        return bound(adopt, {**values, "clip_lambda": self.clip_lambda})

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "clip_lambda": self.clip_lambda}
