"""The last step of optimizers whose weight decay is proximal."""

from typing import Any

from jax import Array

from .._checks import check_range
from .._dataclass import static
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._transformation import (
    Empty,
    Stateless,
    identity,
    require_params,
    transformation,
)
from .._tree import PyTree
from ..wrappers._masked import masked
from ..wrappers._selection import check_mask, chosen_leaves, static_choice


@elementwise()
def _proximal_step(
    updates: Array, decaying: Array | None, *, lr: Array, weight_decay: Array
) -> Array:
    if decaying is None:
        return -lr * updates
    return -lr / (1 + lr * weight_decay) * (updates + weight_decay * decaying)


@transformation
class step_with_proximal_decay(Stateless):
    """A step along ``-g``, and then towards 0 by the decay's proximal operator.

    ::

        u = (p - lr * g) / (1 + lr * weight_decay) - p

    However large the decay is, no parameter changes its sign by it.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``weight_decay``: the factor, at least 0.
    - ``mask``: which parameters decay, as `masked` takes it; None: all of them.
    """

    lr: Value
    weight_decay: Value
    mask: Any = static(default=None)

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_range("weight_decay", self.weight_decay, at_least=0)
        if self.mask is not None:
            object.__setattr__(self, "mask", static_choice(self.mask, check_mask))

    def init(self, params: PyTree) -> Empty:
        if self.mask is not None:
            # Looks at the mask as it does for every other optimizer.
            masked(identity(), self.mask).init(params)
        return ()

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        params = require_params(params, updates, "proximal weight decay")
        return _proximal_step(
            updates,
            chosen_leaves(self.mask, params),
            lr=self.lr,
            weight_decay=self.weight_decay,
        )
