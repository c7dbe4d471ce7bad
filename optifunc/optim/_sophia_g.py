"""Sophia-G."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._tree import PyTree
from ..optimizers._sophia_g import sophia_g
from ._hooks import hooked
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class SophiaG(Optimizer):
    """Steps divided by squared gradients of sampled labels; `optifunc.sophia_g`.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `sophia_g`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = sophia_g
    layout = TorchLayout("step", "exp_avg", "hessian")

    @hooked
    def step(
        self,
        closure: Callable[[], Any] | None = None,
        *,
        grads: PyTree = None,
        sampled_grad: PyTree = None,
    ) -> Any:
        """Update the parameters.

        **Arguments:**

        - ``closure``, ``grads``: as in `Optimizer.step`.
        - ``sampled_grad``: a gradient with labels sampled from the model, every tenth
          step or so; it replaces the authors' ``update_hessian()``.

        **Returns:** what ``closure`` returned.
        """
        loss = self._called(closure)
        given = {} if sampled_grad is None else {"sampled_grad": sampled_grad}
        self._update(grads, given)
        return loss
