"""A constant."""

import jax.numpy as jnp
from jax import Array

from .._numerics import Scalar, as_scalar
from ._arguments import Count, as_count, check_count, check_number
from ._base import MultiplicativeSchedule, schedule


@schedule
class constant(MultiplicativeSchedule):
    """Reduced at first, then constant: `torch.optim.lr_scheduler.ConstantLR`.

    ::

        value(t) = base * factor   for t < total_iters,   base afterwards

    A value that is constant from the start is ``constant(base, 1.0)``, or just the
    number. As in torch, the factor is never lifted with ``total_iters=0``. With
    ``factor=0`` torch's scheduler fails where it would lift it; this one does not.

    **Arguments:** ``base``: the value after ``total_iters`` updates; ``factor``: a
    number in [0, 1]; ``total_iters``: an integer.

    **Raises:** `ValueError` if ``factor`` or ``total_iters`` is out of range,
    `TypeError` if ``total_iters`` is no integer.
    """

    base: Scalar
    factor: Scalar = 1 / 3
    total_iters: Count = 5

    def __post_init__(self) -> None:
        check_number("base", self.base)
        check_number("factor", self.factor, at_least=0, at_most=1)
        check_count("total_iters", self.total_iters, at_least=0)

    def multiplier(self, step: Array) -> Array:
        total_iters = as_count(self.total_iters)
        is_lifted = (step >= total_iters) & (total_iters > 0)
        return jnp.where(is_lifted, 1, as_scalar(self.factor))
