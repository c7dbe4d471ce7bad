"""Any function of the step as a schedule."""

from collections.abc import Callable
from typing import Any

from jax import Array

from .._dataclass import static
from .._numerics import as_scalar
from ._schedule import Schedule, schedule


@schedule
class from_function(Schedule):
    """A function of the step, which need not know of schedules: ``v_t = function(t)``.

    A function given in the place of a hyperparameter is made one of these, so that a
    transformation that holds it can be an argument of a jitted function.

    **Arguments:** ``function``: from the step, an int32 scalar, to a number; hashable,
    and compared by equality when JAX looks for a compiled program.
    """

    function: Callable[[Any], Any] = static()

    def __call__(self, step: Any) -> Array:
        return as_scalar(self.function(step))


def as_schedule(value: Any) -> Any:
    """``value``, made a `Schedule` if it is a function and no schedule yet."""
    if callable(value) and not isinstance(value, Schedule):
        return from_function(value)
    return value
