"""Flax: a training state whose transformation is a pytree node.

It needs flax and has to be imported explicitly: ``import optifunc.interop.flax``.
"""

from __future__ import annotations

from typing import Any

from flax import struct
from flax.training import train_state

from .._hyperparameters import replace_hyperparameters

__all__ = [
    "TrainState",
]


def __dir__() -> list[str]:
    return __all__


class TrainState(train_state.TrainState):
    """`flax.training.train_state.TrainState` with ``tx`` as a part of the tree.

    Flax's own keeps ``tx`` static, so every change of the learning rate recompiles the
    program. Here, the hyperparameters are leaves of the state::

        state = TrainState.create(apply_fn=f, params=params, tx=of.adamw(1e-3))
        state = state.replace_hyperparameters(lr=3e-4)

    ``tx`` must be a transformation of this library. It is saved with the state: to
    restore a checkpoint of Flax's class, leave ``tx`` out of both.
    """

    tx: Any = struct.field(pytree_node=True)

    def replace_hyperparameters(self, **values: Any) -> TrainState:
        """The same state with other hyperparameters.

        **Arguments:**

        - ``values``: see `optifunc.replace_hyperparameters`.
        """
        tx = replace_hyperparameters(self.tx, **values)
        state: TrainState = self.replace(tx=tx)
        return state
