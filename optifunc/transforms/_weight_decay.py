"""Weight decay."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._dataclass import static
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._transformation import Stateless, require_params, transformation
from .._tree import PyTree


@elementwise(static=("cautious", "strict"), inline=True)
def _decayed(
    updates: Array,
    params: Array,
    *,
    weight_decay: Array,
    cautious: bool,
    strict: bool,
) -> Array:
    decayed = updates + weight_decay * params
    if not cautious:
        return decayed
    products = updates * params
    return jnp.where(products > 0 if strict else products >= 0, decayed, updates)


@transformation
class add_decayed_weights(Stateless):
    """Add a multiple of the parameters.

    ::

        u = g + weight_decay * p
        u = g + weight_decay * p  where g * p >= 0,  else  g  (cautious)
        u = g + weight_decay / peak_lr * p                    (with peak_lr)

    Before the moments of an optimizer, this is L2 regularization, as in
    `torch.optim.Adam`; between them and `scale_by_learning_rate`, it is decoupled
    decay, as in `torch.optim.AdamW`. `assemble` puts it in the right place. To decay
    only some of the parameters::

        def is_weight(path, leaf):
            return leaf.ndim > 1 and not path.endswith("bias")

        of.masked(of.add_decayed_weights(0.1), is_weight)

    **Arguments:**

    - ``weight_decay``: the factor, at least 0.
    - ``cautious``: leave out the elements that a step along ``-g`` moves away from 0.
    - ``peak_lr``: if given, ``weight_decay`` is the fraction of a parameter that one
      step removes at this learning rate; at a lower one, proportionally less.
    - ``strict``: with ``cautious``, leave out the elements where ``g`` is 0, too.

    **Raises:** `ValueError` if ``weight_decay`` is negative or NaN, if ``peak_lr`` is
    not above 0, if ``strict`` is given without ``cautious``, and at `update` if
    ``params`` is missing.

    **Source:** Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019,
    [arXiv:1711.05101](https://arxiv.org/abs/1711.05101); cautious: Chen et al.,
    "Cautious Weight Decay", 2025, [arXiv:2510.12402](https://arxiv.org/abs/2510.12402).
    """

    weight_decay: Value
    cautious: bool = static(default=False)
    peak_lr: Value | None = None
    _: dataclasses.KW_ONLY
    strict: bool = static(default=False)

    def __post_init__(self) -> None:
        check_range("weight_decay", self.weight_decay, at_least=0)
        if self.peak_lr is not None:
            check_range("peak_lr", self.peak_lr, above=0)
        if self.strict and not self.cautious:
            raise ValueError("strict=True is only for cautious=True")

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        params = require_params(params, updates, "add_decayed_weights")
        share = self.weight_decay
        if self.peak_lr is not None:
            share = share / self.peak_lr
        return _decayed(
            updates,
            params,
            weight_decay=share,
            cautious=self.cautious,
            strict=self.strict,
        )
