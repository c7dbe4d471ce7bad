"""Functions of the step as schedules, and as factors of a base."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from .._dataclass import static
from .._numerics import Scalar, as_scalar
from ._arguments import check_number
from ._base import MultiplicativeSchedule, Schedule, as_step, schedule


@schedule
class from_function(Schedule):
    """A function of the step as a schedule: ``value(t) = function(t)``.

    A function passed as a hyperparameter is converted to one of these, so that a
    transformation that holds it can be an argument of a jitted function.

    **Arguments:**

    - ``function``: a function from the step, an integer scalar that may be traced, to a
      number. It must be hashable; it is compared by equality when JAX looks for a
      compiled program.

    **Raises:** `TypeError` if ``function`` is not callable.
    """

    function: Callable[[Any], Any] = static()

    def __post_init__(self) -> None:
        _check_function("function", self.function)

    def __call__(self, step: Any) -> Array:
        return as_scalar(self.function(as_step(step)))


def as_schedule(value: Any) -> Any:
    """``value``; a function that is not yet a `Schedule` becomes one."""
    if callable(value) and not isinstance(value, Schedule):
        return from_function(value)
    return value


def _check_function(name: str, function: Any) -> None:
    if not callable(function):
        raise TypeError(f"{name} must be a function of the step, found {function!r}")


@schedule
class lambda_(Schedule):
    """A factor that is a function: `torch.optim.lr_scheduler.LambdaLR`.

    ::

        value(t) = base * lr_lambda(t)

    The name ends in an underscore because ``lambda`` is a Python keyword.

    **Arguments:**

    - ``base``: the value that ``lr_lambda`` multiplies, a number.
    - ``lr_lambda``: a function of the step, which it receives as an integer scalar that
      may be traced (so use ``jnp.where``, not ``if``). It is part of the schedule's
      structure: changing it triggers recompilation.

    **Raises:** `TypeError` if ``lr_lambda`` is not callable.
    """

    base: Scalar
    lr_lambda: Callable[[Array], Any] = static()

    def __post_init__(self) -> None:
        check_number("base", self.base)
        _check_function("lr_lambda", self.lr_lambda)

    def __call__(self, step: Any) -> Array:
        return as_scalar(self.base) * as_scalar(self.lr_lambda(as_step(step)))


@schedule
class multiplicative(MultiplicativeSchedule):
    """A product of factors: `torch.optim.lr_scheduler.MultiplicativeLR`.

    ::

        value(t) = base * lr_lambda(1) * lr_lambda(2) * ... * lr_lambda(t)

    Only ``lr_lambda`` knows the factors, so the value at ``t`` costs ``t`` calls in a
    compiled loop, and a run of ``n`` updates costs ``n**2 / 2`` of them; if the product
    has a closed form, use `lambda_` instead. The value can be differentiated with
    respect to ``base`` (which is outside the loop), but not in reverse mode with
    respect to what ``lr_lambda`` closes over.

    **Arguments:**

    - ``base``: the value at step 0, a number.
    - ``lr_lambda``: a function from the step, as in `lambda_`, to the ratio of the
      value there to the previous one.

    **Raises:** `TypeError` if ``lr_lambda`` is not callable.
    """

    base: Scalar
    lr_lambda: Callable[[Array], Any] = static()

    def __post_init__(self) -> None:
        check_number("base", self.base)
        _check_function("lr_lambda", self.lr_lambda)

    def multiplier(self, step: Array) -> Array:
        def times_factor(t: Array, product: Array) -> Array:
            return product * as_scalar(self.lr_lambda(t))

        one = jnp.ones((), jnp.result_type(float))
        begin, end = jnp.ones_like(step), step + 1
        product: Array = lax.fori_loop(begin, end, times_factor, one)
        return product
