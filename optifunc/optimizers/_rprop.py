"""Rprop."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_lr, check_pair, check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import is_number
from .._placement import full_like, zeros_like
from .._state import NonNegative, PerParameter
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ._assemble import assemble
from ._factory import factory


class StepByRpropState(NamedTuple):
    """State of `step_by_rprop`.

    **Fields:**

    - ``prev``: each parameter's last gradient, 0 where its sign had changed.
    - ``step_size``: the size of each parameter's last step.
    """

    prev: PerParameter
    step_size: NonNegative


@elementwise(outputs=3)
def _rprop(
    updates: Array,
    prev: Array,
    step_size: Array,
    *,
    shrink: Array,
    grow: Array,
    smallest: Array,
    largest: Array,
) -> tuple[Array, Array, Array]:
    agreement = jnp.sign(updates * prev)
    factor = jnp.where(agreement > 0, grow, jnp.where(agreement < 0, shrink, 1))
    step_size = jnp.clip(step_size * factor, smallest, largest)
    updates = jnp.where(agreement < 0, 0, updates)
    return -jnp.sign(updates) * step_size, updates, step_size


@transformation
class step_by_rprop(GradientTransformation):
    """Step by the gradient's sign, with a step size for each element.

    The rule: see `rprop`.

    **Arguments:**

    - ``lr``, ``etas``, ``step_sizes``: see `rprop`.

    **State:** `StepByRpropState`.

    **Raises:** `ValueError` for a number out of range.
    """

    lr: Value = 1e-2
    etas: tuple[Value, Value] = (0.5, 1.2)
    step_sizes: tuple[Value, Value] = (1e-6, 50.0)

    def __post_init__(self) -> None:
        check_lr(self.lr)
        check_pair("etas", self.etas)
        check_range("etas[0]", self.etas[0], above=0, below=1)
        check_range("etas[1]", self.etas[1], above=1)
        check_pair("step_sizes", self.step_sizes)
        smallest, largest = self.step_sizes
        check_range("step_sizes[0]", smallest)
        check_range("step_sizes[1]", largest)
        if is_number(smallest) and is_number(largest) and smallest > largest:
            raise ValueError(
                "step_sizes must be the smallest and the largest step, "
                f"found {self.step_sizes!r}"
            )

    def init(self, params: PyTree) -> StepByRpropState:
        return StepByRpropState(
            prev=zeros_like(params),
            step_size=full_like(params, self.lr, both_parts=True),
        )

    def update(
        self,
        updates: PyTree,
        state: StepByRpropState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByRpropState]:
        shrink, grow = self.etas
        smallest, largest = self.step_sizes
        updates, prev, step_size = _rprop(
            updates,
            state.prev,
            state.step_size,
            shrink=shrink,
            grow=grow,
            smallest=smallest,
            largest=largest,
        )
        return updates, StepByRpropState(prev, step_size)


@factory
def rprop(
    lr: Hyperparameter = 1e-2,
    etas: tuple[Hyperparameter, Hyperparameter] = (0.5, 1.2),
    step_sizes: tuple[Hyperparameter, Hyperparameter] = (1e-6, 50.0),
    *,
    maximize: bool = False,
) -> GradientTransformation:
    """`torch.optim.Rprop`: resilient backpropagation, which reads only signs.

    ::

        s = sign(g * g_prev)
        d = clip(d * (etas[1] if s > 0, etas[0] if s < 0, else 1), *step_sizes)
        g = 0 where s < 0
        u = -sign(g) * d,    g_prev = g

    It needs full batches: with noisy gradients the signs mean little.

    **Arguments:**

    - ``lr``: the initial step size, read only by ``init``, as in torch; for a schedule,
      its first value.
    - ``etas``: the factors after a change of sign, in (0, 1), and without one, above 1.
    - ``step_sizes``: the smallest and the largest step.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `StepByRpropState`, its trees in the parameters' shapes and dtypes.
    (torch also counts steps there, but does not use the count.)

    **Complex parameters:** real and imaginary parts are treated as separate parameters,
    as in torch; pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range.

    **Source:** Riedmiller and Braun, "A Direct Adaptive Method for Faster
    Backpropagation Learning: The RPROP Algorithm", ICNN 1993,
    [doi:10.1109/ICNN.1993.298623](https://doi.org/10.1109/ICNN.1993.298623).
    """
    return assemble(step_by_rprop(lr, etas, step_sizes), lr=None, maximize=maximize)
