"""Learning rates that decrease from layer to layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jax import Array

from .._checks import check_integer, check_known_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import as_scalar
from .._transformation import (
    GradientTransformation,
    Stateless,
    require_params,
    transformation,
)
from .._tree import PyTree, flatten_like
from ._chain import chain
from ._selection import chosen_values, like, static_choice


def _check_depth(path: str, value: Any) -> int:
    check_integer(f"the depth of {path!r}", value, at_least=0)
    return int(value)


@elementwise(inline=True)
def _scaled_by_depth(updates: Array, *, factor: Array) -> Array:
    return factor * updates


@transformation
class scale_by_depth(Stateless):
    """Scale each leaf's update by its distance from the last layer.

    ::

        u = decay**(deepest - depth) * g

    `layerwise_decay` applies it after an optimizer.

    **Arguments:**

    - ``decay``: the factor from one layer to the previous one, above 0.
    - ``depth_of``: the depth of each parameter, as in `layerwise_decay`.
    - ``deepest``: the depth whose factor is 1, an integer; also used for deeper leaves.

    **State:** ``()``.

    **Raises:** `ValueError` if ``decay`` is not positive, `TypeError` or `ValueError`
    for depths that are not integers of at least 0; `ValueError` at `update` if
    ``params`` is missing.
    """

    decay: Value
    depth_of: Any = static()
    deepest: int = static()

    def __post_init__(self) -> None:
        check_known_range("decay", self.decay, above=0)
        check_integer("deepest", self.deepest, at_least=0)
        choice = static_choice(self.depth_of, _check_depth)
        object.__setattr__(self, "depth_of", choice)

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        params = require_params(params, updates, "scale_by_depth")
        depths = chosen_values(self.depth_of, params, "depth_of", _check_depth)
        leaves = flatten_like(updates, params, ("updates", "params"))
        decay = as_scalar(self.decay)
        factors = {n: decay ** max(self.deepest - n, 0) for n in set(depths)}
        new = [
            None if u is None else _scaled_by_depth(u, factor=factors[n])
            for u, n in zip(leaves, depths, strict=True)
        ]
        return like(params, new)


def layerwise_decay(
    tx: Any,
    params: PyTree,
    decay: Hyperparameter,
    depth_of: PyTree | Callable[..., Any],
) -> GradientTransformation:
    """An optimizer whose learning rate decreases from the last layer to the first.

    ::

        lr_of_leaf = lr * decay**(deepest - depth)

    Use it for fine-tuning: the first layers, which are the most general, move the
    least. It scales the optimizer's updates, including weight decay. If these are
    proportional to ``lr``, this equals separate learning rates for groups::

        def depth_of(path, leaf):
            names = path.split(".")  # "block.3.kernel"
            if names[0] == "block":
                return 1 + int(names[1])
            return 0 if names[0] == "embedding" else 13  # the head

        tx = of.layerwise_decay(of.adamw(1e-4), params, 0.75, depth_of)

    **Arguments:**

    - ``tx``: a transformation, ours or optax's.
    - ``params``: the parameters, or a tree of their shapes. They determine the depth of
      the deepest layer, whose learning rate is the optimizer's own.
    - ``decay``: the factor from one layer to the previous one, above 0. It is a
      hyperparameter like any other: it can be a schedule, or an array to sweep over.
    - ``depth_of``: the depth of each parameter, an integer of at least 0: a tree whose
      leaves may stand for whole subtrees, or a function of ``(path, leaf)`` or of the
      parameters (see `masked`).

    **Returns:** ``chain(tx, scale_by_depth(...))``, whose members are named ``inner``
    and ``depth``.

    **Raises:** `ValueError` if ``decay`` is not positive, `TypeError` or `ValueError`
    for depths that are not integers of at least 0.

    **Source:** Howard and Ruder, "Universal language model fine-tuning for text
    classification", 2018, [arXiv:1801.06146](https://arxiv.org/abs/1801.06146); Bao et
    al., "BEiT", 2021, [arXiv:2106.08254](https://arxiv.org/abs/2106.08254).
    """
    choice = static_choice(depth_of, _check_depth)
    depths = chosen_values(choice, params, "depth_of", _check_depth)
    deepest = max(depths, default=0)
    return chain(inner=tx, depth=scale_by_depth(decay, choice, deepest))
