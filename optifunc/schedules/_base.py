"""Base classes of schedules."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._dataclass import pytree_dataclass, static
from .._numerics import Scalar, as_scalar, is_number
from ._arguments import as_count, concrete

C = TypeVar("C", bound=type)


class Schedule(abc.ABC):
    """A hyperparameter as a pure function of the number of updates done so far.

    A schedule is a value (see `schedule`): a pytree whose leaves are its numbers.
    Called with ``step``, it returns a float scalar, and can be jitted, mapped and
    differentiated through.
    """

    @abc.abstractmethod
    def __call__(self, step: Any) -> Array:
        """The value after ``step`` updates.

        **Arguments:**

        - ``step``: an integer, 0 at the first update: a number or a scalar array, or a
          float with a whole value.

        **Raises:** `TypeError` if ``step`` is not an integer, `ValueError` if it is
        negative, too large for JAX's default integer, or not a scalar. For a traced
        value, only dtype and shape are checked.
        """

    def plot(self, steps: int | None = None, *, ax: Any = None) -> Any:
        """Plot the schedule with matplotlib, like `optifunc.schedules.plot`.

        **Arguments:**

        - ``steps``: the number of steps to plot; None: a tenth more than the schedule's
          own length, or 1000 if it has none.
        - ``ax``: axes to draw into; None: those of a new figure.

        **Returns:** the axes.

        **Raises:** `ImportError` if matplotlib is not installed.
        """
        from ._plot import plot

        return plot(self, steps, ax=ax)


class MultiplicativeSchedule(Schedule):
    """A schedule that is ``base`` times a multiplier that does not depend on it.

    Such schedules can be multiplied by each other (`chained`).
    """

    base: Scalar

    @abc.abstractmethod
    def multiplier(self, step: Array) -> Array:
        """The factor of ``base`` after ``step`` updates.

        **Arguments:**

        - ``step``: an integer scalar.
        """

    def __call__(self, step: Any) -> Array:
        return as_scalar(self.base) * self.multiplier(as_step(step))


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(static,))
def schedule(cls: C) -> C:
    """Class decorator that makes a `Schedule` a value, like `transformation`.

    **Arguments:**

    - ``cls``: a subclass of `Schedule` whose annotations are the schedule's arguments.

    **Raises:** `TypeError` if the class is not a `Schedule`.
    """
    if not issubclass(cls, Schedule):
        raise TypeError(f"@schedule needs a subclass of Schedule, found {cls}")
    decorated: C = pytree_dataclass(cls)
    return decorated


class FractionalStep(NamedTuple):
    """A step that need not be whole, for callers whose formulas allow it."""

    step: Array


def as_step(step: Any) -> Array:
    """``step`` as an integer scalar of JAX's default width.

    A `FractionalStep` stays a float.

    **Raises:** see `Schedule.__call__`.
    """
    if isinstance(step, FractionalStep):
        return step.step
    if not isinstance(step, Array) and hasattr(step, "__jax_array__"):
        step = step.__jax_array__()
    is_array = isinstance(step, Array | np.ndarray | np.generic)
    if isinstance(step, bool) or not (is_array or is_number(step)):
        raise TypeError(f"step must be an integer, found {step!r}")
    if np.shape(step) != ():
        raise ValueError(
            f"step must be a scalar, found an array of shape {np.shape(step)}; "
            "for the values at several steps, jax.vmap over the schedule"
        )
    if is_array and not (_is_integer(step) or jnp.issubdtype(step.dtype, jnp.floating)):
        raise TypeError(f"step must be an integer, found an array of {step.dtype}")
    known = step if is_number(step) else concrete(step)
    if known is not None:
        return as_count(_whole(known, step))
    return as_count(step if _is_integer(step) else jax.lax.round(step))


def _is_integer(array: Any) -> bool:
    return bool(jnp.issubdtype(array.dtype, jnp.integer))


def _whole(known: Any, step: Any) -> int:
    """A known ``step`` as an int."""
    number = known.item() if hasattr(known, "item") else known
    # NaN equals nothing, and the remainder of infinity is NaN.
    if number % 1 != 0:
        raise TypeError(f"step must be an integer, found {step!r}")
    largest = jnp.iinfo(jnp.result_type(int)).max
    if not 0 <= number <= largest:
        bound = "at least 0" if number < 0 else f"at most {largest}"
        raise ValueError(f"step must be {bound}, found {step!r}")
    return int(number)
