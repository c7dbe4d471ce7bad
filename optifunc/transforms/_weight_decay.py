"""Weight decay."""

from jax import Array

from .._checks import check_range
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._transformation import Stateless, require_params, transformation
from .._tree import PyTree


@elementwise(inline=True)
def _decayed(updates: Array, params: Array, *, weight_decay: Array) -> Array:
    return updates + weight_decay * params


@transformation
class add_decayed_weights(Stateless):
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

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        params = require_params(params, updates, "add_decayed_weights")
        return _decayed(updates, params, weight_decay=self.weight_decay)
