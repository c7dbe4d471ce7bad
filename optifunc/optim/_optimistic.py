"""Optimistic gradient descent and optimistic Adam."""

from __future__ import annotations

from ..optimizers._optimistic import optimistic_adam, optimistic_gradient_descent
from ._optimizer import Optimizer


class OptimisticGradientDescent(Optimizer):
    """Descent that anticipates the next change of the gradient; stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `optimistic_gradient_descent`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = optimistic_gradient_descent


class OptimisticAdam(Optimizer):
    """Adam that anticipates the next change of its step; `optifunc.optimistic_adam`.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `optimistic_adam`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = optimistic_adam
