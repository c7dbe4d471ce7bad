"""The last step of optimizers whose weight decay is proximal."""

from __future__ import annotations

from typing import Any

from jax import Array

from .._checks import check_range
from .._dataclass import static
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._transformation import (
    Empty,
    Stateless,
    require_params,
    transformation,
)
from .._tree import PyTree
from ._decay_inside import check_mask_fits, decaying, static_mask


@elementwise()
def _proximal_step(
    updates: Array, decaying: Array | None, *, lr: Array, weight_decay: Array
) -> Array:
    if decaying is None:
        return -lr * updates
    return -lr / (1 + lr * weight_decay) * (updates + weight_decay * decaying)


@transformation
class step_with_proximal_decay(Stateless):
    """A step along ``-g``, and then toward 0 by the decay's proximal operator.

    ::

        u = (p - lr * g) / (1 + lr * weight_decay) - p

    However large the decay is, it does not change the sign of a parameter.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``weight_decay``: the factor, at least 0.
    - ``mask``: which parameters decay, see `masked`; None: all of them.
    """

    lr: Value
    weight_decay: Value
    mask: Any = static(default=None)

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_range("weight_decay", self.weight_decay, at_least=0)
        object.__setattr__(self, "mask", static_mask(self.mask))

    def init(self, params: PyTree) -> Empty:
        check_mask_fits(self.mask, params)
        return ()

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        params = require_params(params, updates, "proximal weight decay")
        return _proximal_step(
            updates,
            decaying(params, self.mask),
            lr=self.lr,
            weight_decay=self.weight_decay,
        )
