"""A stateful interface for any pure transformation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._hyperparameters import current_hyperparameters, replace_hyperparameters
from .._transformation import GradientTransformation
from .._tree import PyTree
from ..wrappers._scheduled import as_transformation
from ._hooks import hooked
from ._layouts import StateLayout
from ._optimizer import Optimizer
from ._signatures import number


class Stateful(Optimizer):
    """Drive a gradient transformation with the methods of `Optimizer`.

    ::

        tx = of.chain(of.clip_by_global_norm(1.0), of.adamw(3e-4))
        optimizer = of.optim.Stateful(tx, params)

    The transformation's hyperparameters, under the names that
    `optifunc.current_hyperparameters` gives them, are the groups' keys: assigning to
    ``param_groups[0]["lr"]`` replaces the number from the next step on; schedules work
    as usual. The keys of a parameter's state are the paths of the fields
    (``"1.exp_avg"``), and a checkpoint holds them bit for bit. Parameters with
    different numbers of steps, because gradients were None, are updated separately:
    anything that combines them, such as a global norm, then sees only those with the
    same number.

    **Arguments:**

    - ``tx``: a transformation of this library or of optax.
    - ``params``: see `Optimizer`.

    **Raises:** `TypeError` if ``tx`` is not a transformation.
    """

    layout = StateLayout(by_path=True)
    no_sparse = None

    def __init__(self, tx: Any, params: Any) -> None:
        self.tx = as_transformation(tx)
        super().__init__(params, current_hyperparameters(self.tx, None))

    def build(self, values: Mapping[str, Any]) -> GradientTransformation:
        # Integers, such as a seed, stay integers.
        own = {
            name: values[name] if type(default) is int else number(values[name], name)
            for name, default in self.defaults.items()
        }
        return replace_hyperparameters(self.tx, **own)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "tx": self.tx}

    @hooked
    def step(
        self,
        closure: Callable[[], Any] | None = None,
        *,
        grads: PyTree = None,
        **extra: Any,
    ) -> Any:
        """Update the parameters.

        **Arguments:**

        - ``closure``, ``grads``: as in `Optimizer.step`.
        - ``extra``: other arrays that the transformation's update needs, such as
          ``value``.

        **Returns:** what ``closure`` returned.
        """
        loss = self._called(closure)
        self._update(grads, extra)
        return loss
