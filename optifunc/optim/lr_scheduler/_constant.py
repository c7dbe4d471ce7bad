"""A learning rate that starts at a fraction of its value."""

from __future__ import annotations

from typing import Any

from ._base import FactorScheduler


class ConstantLR(FactorScheduler):
    """Multiply by ``factor`` until epoch ``total_iters``.

    ::

        lr_t = lr_0 * factor    for t < total_iters
        lr_t = lr_0             after

    **Arguments:**

    - ``optimizer``: the optimizer whose learning rates are set.
    - ``factor``: the factor of the learning rate at first, in [0, 1].
    - ``total_iters``: the epoch from which the factor no longer applies. With 0, as in
      torch, `step` never removes the factor.
    - ``last_epoch``: the epoch to resume after, or -1.

    **Raises:** `ValueError` if ``factor`` is not in [0, 1].
    """

    def __init__(
        self,
        optimizer: Any,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(
                "Constant multiplicative factor expected to be between 0 and 1, "
                f"found {factor!r}"
            )
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        if self.last_epoch == 0:
            return self.factor
        return 1.0 / self.factor if self.last_epoch == self.total_iters else 1.0

    def _next_lrs(self) -> list[float]:
        if self.factor == 0 and self.last_epoch == self.total_iters != 0:
            # A multiplication by 0 cannot be undone by division.
            return list(self.base_lrs)
        return super()._next_lrs()

    def _total_factor(self) -> float:
        return 1.0 if self.last_epoch >= self.total_iters else self.factor
