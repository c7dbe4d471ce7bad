"""Learning rates that begin at a fraction of their value."""

from typing import Any

from ._scheduler import FactorScheduler


class ConstantLR(FactorScheduler):
    """Multiply by ``factor`` until epoch ``total_iters``.

    ::

        lr_t = lr_0 * factor    for t < total_iters
        lr_t = lr_0             after

    **Arguments:** ``optimizer``, ``last_epoch``: as of `LRScheduler`.

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

    def _total_factor(self) -> float:
        return 1.0 if self.last_epoch >= self.total_iters else self.factor


class LinearLR(FactorScheduler):
    """Go from one multiple of the learning rate to another along a line.

    ::

        f_t  = start_factor + (end_factor - start_factor) * min(t / total_iters, 1)
        lr_t = lr_0 * f_t

    **Arguments:** ``optimizer``, ``last_epoch``: as of `LRScheduler`.

    **Raises:** `ValueError` if ``start_factor`` is not in (0, 1] or ``end_factor`` not
    in [0, 1].
    """

    def __init__(
        self,
        optimizer: Any,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(
                "Starting multiplicative factor expected to be greater than 0 and less "
                f"or equal to 1, found {start_factor!r}"
            )
        if not 0 <= end_factor <= 1:
            raise ValueError(
                "Ending multiplicative factor expected to be between 0 and 1, "
                f"found {end_factor!r}"
            )
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        if self.last_epoch == 0:
            return self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return 1.0
        # f_t / f_{t-1}, numerator and denominator multiplied by total_iters.
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return 1.0 + rise / before

    def _total_factor(self) -> float:
        done = min(self.total_iters, self.last_epoch) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done
