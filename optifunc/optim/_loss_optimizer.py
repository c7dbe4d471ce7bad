"""The base class of stateful optimizers that read the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._tree import PyTree
from ._hooks import hooked
from ._optimizer import Optimizer


class LossOptimizer(Optimizer):
    """An `Optimizer` whose step needs the loss in addition to the gradients.

    The loss is the closure's result, or is passed as ``value``; `compile_step` already
    has it.
    """

    @hooked
    def step(
        self,
        closure: Callable[[], Any] | None = None,
        *,
        grads: PyTree = None,
        value: Any = None,
    ) -> Any:
        """Update the parameters.

        **Arguments:**

        - ``closure``, ``grads``: as in `Optimizer.step`. The closure returns the loss.
        - ``value``: the loss, if there is no closure.

        **Returns:** what ``closure`` returned.

        **Raises:** `TypeError` if there is no loss; otherwise what `Optimizer.step`
        does.
        """
        loss = self._called(closure)
        value = loss if value is None else value
        if value is None:
            raise TypeError(
                f"{type(self).__name__} needs the loss: call step(value=loss), or pass "
                "a closure that returns it"
            )
        self._update(grads, {"value": value})
        return loss
