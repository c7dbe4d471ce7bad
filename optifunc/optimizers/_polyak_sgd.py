"""Gradient descent with Polyak's step size."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import jax.numpy as jnp
from jax import Array

from .._checks import check_choice, check_loss, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._numerics import as_scalar, increment
from .._state import Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, inner_product
from ..transforms._scaling import _scaled
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory

Variant = Literal["sps", "sps+"]

# The machine epsilon of float64, for any dtype. A squared norm below it counts as 0,
# where Polyak's step is not defined.
SMALLEST_SQUARE = 2.220446049250313e-16


class StepByPolyakSgdState(NamedTuple):
    """State of `step_by_polyak_sgd`.

    **Fields:**

    - ``step``: int32 [], updates done so far. The rule does not use it; a stateful
      optimizer tells by it which parameters are taken together.
    """

    step: Shared


def polyak_ratio(gap: Array, square: Array) -> Array:
    """``gap / square``, or 0 if there is no slope."""
    is_flat = square <= SMALLEST_SQUARE
    return jnp.where(is_flat, 0, gap / jnp.where(is_flat, 1, square))


@transformation
class step_by_polyak_sgd(GradientTransformation):
    """Step along the gradient in proportion to the gap to the minimal loss.

    The rule: see `polyak_sgd`.

    **Arguments:**

    - ``lr``, ``scaling``, ``f_min``, ``eps``, ``variant``: see `polyak_sgd`.

    **State:** `StepByPolyakSgdState`.

    **Raises:** what `polyak_sgd` does.
    """

    lr: Value = 1.0
    scaling: Value = 1.0
    f_min: Value = 0.0
    eps: Value = 0.0
    variant: Variant = static(default="sps")

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_range("scaling", self.scaling, at_least=0)
        check_range("f_min", self.f_min)
        check_range("eps", self.eps, at_least=0)
        check_choice("variant", self.variant, get_args(Variant))

    def init(self, params: PyTree) -> StepByPolyakSgdState:
        return StepByPolyakSgdState(jnp.zeros((), jnp.int32))

    def update(  # type: ignore[override]  # what it needs is required
        self,
        updates: PyTree,
        state: StepByPolyakSgdState,
        params: PyTree | None = None,
        *,
        value: Any,
        **extra: Any,
    ) -> tuple[PyTree, StepByPolyakSgdState]:
        check_loss(value)
        gap = as_scalar(value) - as_scalar(self.f_min)
        if self.variant == "sps+":
            gap = jnp.maximum(gap, 0)
        square = inner_product(updates, updates) + as_scalar(self.eps)
        step = jnp.minimum(polyak_ratio(gap, square), as_scalar(self.lr))
        updates = _scaled(updates, factor=-step * as_scalar(self.scaling))
        return updates, StepByPolyakSgdState(increment(state.step))


@factory
def polyak_sgd(
    lr: Hyperparameter = 1.0,
    scaling: Hyperparameter = 1.0,
    f_min: Hyperparameter = 0.0,
    eps: Hyperparameter = 0.0,
    variant: Variant = "sps",
    weight_decay: Hyperparameter = 0.0,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Gradient descent whose step size is found from the loss.

    ::

        g = g + weight_decay * p
        s = (value - f_min) / (|g|^2 + eps)
        s = max(value - f_min, 0) / (|g|^2 + eps)             (sps+)
        u = -scaling * min(s, lr) * g

    ``|g|`` is the norm of all gradients together. The step leads to where the loss
    would be ``f_min`` if it were linear. ``value`` is the loss at the parameters, on
    the batch of the gradients::

        value, grads = jax.value_and_grad(loss)(params, batch)
        updates, state = tx.update(grads, state, params, value=value)

    It is designed for models that can fit every batch, whose minimal loss is known to
    be near 0. If ``|g|^2 + eps`` is below 2.2e-16, there is no step.

    **Arguments:**

    - ``lr``: the largest step size (optax: ``max_learning_rate``).
    - ``scaling``: the factor of the step, which may be a schedule. (In optax it scales
      the gradient first, and a step below the largest is divided by it.)
    - ``f_min``: the minimum of the loss. With ``"sps"``, a loss below it leads to a
      step uphill.
    - ``eps``: added to the squared norm.
    - ``variant``: ``"sps"``, or ``"sps+"`` for no step if the loss is below ``f_min``.
    - ``weight_decay``: L2 penalty. The loss should contain it, too.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending: to a gain, whose negative is ``value``.

    Each number may be an array or a schedule.

    **State:** `StepByPolyakSgdState`.

    **Raises:** `ValueError` for a number out of range and an unknown ``variant``; at
    `update` `TypeError` if ``value`` is missing, `ValueError` if it is not a scalar.

    **Source:** Loizou et al., "Stochastic Polyak Step-size for SGD", 2020,
    [arXiv:2002.10542](https://arxiv.org/abs/2002.10542); sps+: Garrigos, Gower and
    Schaipp, "Function Value Learning", 2023,
    [arXiv:2307.14528](https://arxiv.org/abs/2307.14528).
    """
    return assemble(
        step_by_polyak_sgd(lr, scaling, f_min, eps, variant),
        lr=None,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
