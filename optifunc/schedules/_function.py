"""Functions of the step as schedules, and as factors of a base."""

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


def _check_function(name: str, function: Any) -> None:
    if not callable(function):
        raise TypeError(f"{name} must be a function of the step, found {function!r}")


@schedule
class lambda_(Schedule):
    """A factor given as a function: `torch.optim.lr_scheduler.LambdaLR`.

    ::

        value(t) = base * lr_lambda(t)

    The underscore is there because ``lambda`` is a word of Python's own.

    **Arguments:** ``base``: a number; ``lr_lambda``: a function of the step, which it
    receives as an integer scalar that may be traced (``jnp.where``, not ``if``). It is
    part of the schedule's structure: another function is compiled anew.

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
    """A product of given factors: `torch.optim.lr_scheduler.MultiplicativeLR`.

    ::

        value(t) = base * lr_lambda(1) * lr_lambda(2) * ... * lr_lambda(t)

    The factors are known only to ``lr_lambda``, so the value at ``t`` costs ``t`` calls
    in a compiled loop, and a run of ``n`` updates costs ``n**2 / 2`` of them; where the
    product has a closed form, give it to `lambda_`. The value can be differentiated
    in ``base`` (which stands outside the loop), but not in reverse mode in what
    ``lr_lambda`` closes over.

    **Arguments:** as of `lambda_`.

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
