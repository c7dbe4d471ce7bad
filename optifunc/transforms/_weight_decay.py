"""Weight decay."""

from typing import Any

from jax import Array

from .._checks import check_range
from .._hyperparameters import Value
from .._transformation import (
    GradientTransformation,
    State,
    require_params,
    transformation,
)
from .._tree import PyTree, elementwise


@elementwise(inline=True)
def _decayed(updates: Array, params: Array, *, weight_decay: Array) -> Array:
    return updates + weight_decay * params


@transformation
class add_decayed_weights(GradientTransformation):
    """Add the parameters, scaled: ``u = g + weight_decay * p``.

    Before the moments of an optimizer this is L2 regularisation, as in
    `torch.optim.Adam`; between them and `scale_by_learning_rate` it is decoupled
    decay, as in `torch.optim.AdamW` (Loshchilov and Hutter, 2019, arXiv:1711.05101).
    For some of the parameters only: ``masked(add_decayed_weights(0.1), mask)``.

    **Raises:** `ValueError` if ``weight_decay`` is negative or NaN, and at `update` if
    ``params`` is missing.
    """

    weight_decay: Value

    def __post_init__(self) -> None:
        check_range("weight_decay", self.weight_decay, at_least=0)

    def init(self, params: PyTree) -> State:
        return ()

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        params = require_params(params, "add_decayed_weights")
        return _decayed(updates, params, weight_decay=self.weight_decay), state
