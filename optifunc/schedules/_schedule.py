"""What a schedule is."""

import abc
from typing import Any, TypeVar, dataclass_transform

from jax import Array

from .._dataclass import pytree_dataclass, static

C = TypeVar("C", bound=type)


class Schedule(abc.ABC):
    """A hyperparameter as a pure function of the number of updates done so far.

    A schedule is a value (see `schedule`): a pytree whose leaves are its numbers.
    Called with ``step`` (an int or an integer array, 0 at the first update) it
    returns a float scalar, and can be jitted, mapped and differentiated through.
    """

    @abc.abstractmethod
    def __call__(self, step: Any) -> Array:
        """The value after ``step`` updates."""


@dataclass_transform(
    frozen_default=True, eq_default=False, field_specifiers=(static,)
)
def schedule(cls: C) -> C:
    """Class decorator: a `Schedule` as a value, in the form of `transformation`.

    **Raises:** `TypeError` if the class is not a `Schedule`.
    """
    if not issubclass(cls, Schedule):
        raise TypeError(f"@schedule needs a subclass of Schedule, found {cls}")
    decorated: C = pytree_dataclass(cls)
    return decorated
