"""A constant."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from .._numerics import Scalar, as_scalar
from ._arguments import Count, as_count, check_count, check_factor, check_number
from ._base import MultiplicativeSchedule, schedule


@schedule
class constant(MultiplicativeSchedule):
    """Constant, optionally reduced at first: `torch.optim.lr_scheduler.ConstantLR`.

    ``constant(0.1)`` is 0.1 throughout. (As a hyperparameter, the number 0.1 itself
    does the same.) With a ``factor`` or ``total_iters``::

        value(t) = base * factor for t < total_iters, base afterward

    As in torch, ``total_iters=0`` stays at ``base * factor``. With ``factor=0``,
    torch's scheduler fails at ``total_iters``; here, the value is ``base`` from there
    on.

    **Arguments:**

    - ``base``: the value, a number.
    - ``factor``: its initial factor, in [0, 1] (``None``: torch's 1/3 if
      ``total_iters`` is given, otherwise 1).
    - ``total_iters``: the number of updates with the factor, an integer (``None``:
      torch's 5).

    **Raises:** `ValueError` if ``factor`` or ``total_iters`` is out of range,
    `TypeError` if ``total_iters`` is not an integer.
    """

    base: Scalar
    factor: Scalar | None = None
    total_iters: Count | None = None

    def __post_init__(self) -> None:
        check_number("base", self.base)
        if self.factor is None:
            factor = 1.0 if self.total_iters is None else 1 / 3
            object.__setattr__(self, "factor", factor)
        if self.total_iters is None:
            object.__setattr__(self, "total_iters", 5)
        check_factor(
            "factor",
            self.factor,
            at_least=0,
            at_most=1,
            instead=f"for the value {self.base!r} throughout write "
            f"of.schedules.constant({self.base!r})",
        )
        check_count("total_iters", self.total_iters, at_least=0)

    def multiplier(self, step: Array) -> Array:
        total_iters = as_count(self.total_iters)
        is_lifted = (step >= total_iters) & (total_iters > 0)
        return jnp.where(is_lifted, 1, as_scalar(self.factor))
