"""Updates with the magnitude of the update and the sign of the gradient."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._dataclass import child, static
from .._leafwise import elementwise
from .._transformation import GradientTransformation, State, transformation
from .._tree import PyTree
from ._wrapper import Wrapper


class GramsState(NamedTuple):
    """State of `grams`.

    **Fields:**

    - ``inner``: the inner transformation's state.
    """

    inner: State


@elementwise(static=("added",))
def _with_sign(updates: Array, grads: Array, *, added: bool) -> Array:
    size = -jnp.abs(updates) if added else jnp.abs(updates)
    return jnp.sign(grads) * size


@transformation
class grams(Wrapper):
    """Give each element of an update the sign of the gradient.

    ::

        u = -sign(g) * |inner(g)|                (sign(g) * |inner(g)| for a direction)

    Momentum determines how far to go, and the current gradient in which direction. An
    element whose gradient is 0 does not change. Weight decay belongs after the
    wrapper::

        direction = of.grams(of.scale_by_adam(), direction=True)
        of.assemble(direction, lr=1e-3, weight_decay=0.1)

    **Arguments:**

    - ``inner``: a transformation.
    - ``direction``: whether the updates of ``inner`` are a direction, to be subtracted
      (as with ``scale_by_...``), instead of a step, to be added (as with optimizers).

    **State:** `GramsState`.

    **Raises:** `TypeError` for sparse gradients.

    **Source:** Cao, Li and Song, "Grams: Gradient Descent with Adaptive Momentum
    Scaling", 2024, [arXiv:2412.17107](https://arxiv.org/abs/2412.17107).
    """

    inner: GradientTransformation = child()
    direction: bool = static(default=False)

    def init(self, params: PyTree) -> GramsState:
        return GramsState(self.inner.init(params))

    def update(
        self,
        updates: PyTree,
        state: GramsState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, GramsState]:
        new, inner = self.inner.update(updates, state.inner, params, **extra)
        return _with_sign(new, updates, added=not self.direction), GramsState(inner)
