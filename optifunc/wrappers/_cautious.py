"""Updates without the elements that go against the gradient."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_choice, check_range
from .._dataclass import child, static
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._transformation import GradientTransformation, State, transformation
from .._tree import PyTree
from ._wrapper import Wrapper


class CautiousState(NamedTuple):
    """State of `cautious`.

    **Fields:**

    - ``inner``: the inner transformation's state.
    """

    inner: State


# Pairs of reals for complex leaves; the share is that of both parts together.
@elementwise(static=("added", "normalization"))
def _aligned(
    updates: Array,
    grads: Array,
    *,
    floor: Array,
    added: bool,
    normalization: str | None,
) -> Array:
    products = updates * grads
    agrees = products < 0 if added else products > 0
    kept = jnp.where(agrees, updates, 0)
    if normalization is None:
        return kept
    count = jnp.sum(agrees, dtype=updates.dtype)
    if normalization == "count":
        return kept * (updates.size / (count + 1))
    return kept / jnp.maximum(count / max(updates.size, 1), floor)


@transformation
class cautious(Wrapper):
    """Leave out the elements of an update that go against the gradient.

    ::

        u = inner(g)
        k = 1  where u * g < 0,  else  0         (> 0 for a direction)
        u = k * u / max(mean(k), floor)          (normalization="mean")
        u = k * u * size / (sum(k) + 1)          (normalization="count")

    Momentum may point in a direction in which the loss rises. The remaining part of a
    step does not, and is scaled up to make up for the elements left out. Mean, sum and
    size are those of a leaf. An element where ``u * g`` is 0 is left out.

    Weight decay should not be masked: it belongs after the wrapper, where
    ``cautious=True`` of `assemble` puts it::

        of.assemble(of.scale_by_adam(), lr=1e-3, weight_decay=0.1, cautious=True)

    **Arguments:**

    - ``inner``: a transformation.
    - ``direction``: whether the updates of ``inner`` are a direction, to be subtracted
      (as with ``scale_by_...``), instead of a step, to be added (as with optimizers).
    - ``normalization``: ``"mean"``; ``"count"``, which the authors use for Lion; or
      None, which does not scale.
    - ``floor``: the smallest mean to divide by, above 0.

    **State:** `CautiousState`.

    **Raises:** `ValueError` for a number out of range and an unknown ``normalization``;
    `TypeError` for sparse gradients.

    **Source:** Liang, Chen, Liu, Liu and others, "Cautious Optimizers: Improving
    Training with One Line of Code", 2024,
    [arXiv:2411.16085](https://arxiv.org/abs/2411.16085).
    """

    inner: GradientTransformation = child()
    direction: bool = static(default=False)
    normalization: str | None = static(default="mean")
    floor: Value = 1e-3

    def __post_init__(self) -> None:
        check_choice("normalization", self.normalization, ("mean", "count", None))
        check_range("floor", self.floor, above=0)
        super().__post_init__()

    def init(self, params: PyTree) -> CautiousState:
        return CautiousState(self.inner.init(params))

    def update(
        self,
        updates: PyTree,
        state: CautiousState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, CautiousState]:
        new, inner = self.inner.update(updates, state.inner, params, **extra)
        new = _aligned(
            new,
            updates,
            floor=self.floor,
            added=not self.direction,
            normalization=self.normalization,
        )
        return new, CautiousState(inner)
