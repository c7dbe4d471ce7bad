"""What a schedule is."""

import abc
from typing import Any, TypeVar, dataclass_transform

import jax.numpy as jnp
import numpy as np
from jax import Array

from .._dataclass import pytree_dataclass, static
from .._numerics import Scalar, as_scalar
from ._arguments import as_count

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


class MultiplicativeSchedule(Schedule):
    """A schedule that is ``base`` times a multiplier which does not depend on it.

    Such schedules can be multiplied with each other (`chained`).
    """

    base: Scalar

    @abc.abstractmethod
    def multiplier(self, step: Array) -> Array:
        """What ``base`` is multiplied by after ``step`` updates."""

    def __call__(self, step: Any) -> Array:
        return as_scalar(self.base) * self.multiplier(as_step(step))


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(static,))
def schedule(cls: C) -> C:
    """Class decorator: a `Schedule` as a value, in the form of `transformation`.

    **Raises:** `TypeError` if the class is not a `Schedule`.
    """
    if not issubclass(cls, Schedule):
        raise TypeError(f"@schedule needs a subclass of Schedule, found {cls}")
    decorated: C = pytree_dataclass(cls)
    return decorated


def as_step(step: Any) -> Array:
    """``step`` as an integer scalar of JAX's default width.

    **Raises:** `TypeError` if it is no integer, `ValueError` if it is no scalar.
    """
    if not jnp.issubdtype(jnp.result_type(step), jnp.integer):
        raise TypeError(f"step must be an integer, found {step!r}")
    if np.shape(step) != ():
        raise ValueError(
            f"step must be a scalar, found an array of shape {np.shape(step)}; "
            "for the values at several steps, jax.vmap over the schedule"
        )
    return as_count(step)
