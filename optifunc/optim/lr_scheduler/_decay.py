"""Learning rates that decay by a factor: in steps, at milestones, at every epoch."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ._scheduler import FactorScheduler


class StepLR(FactorScheduler):
    """Multiply by ``gamma`` every ``step_size`` epochs.

    ::

        lr_t = lr_0 * gamma ** (t // step_size)

    **Arguments:** ``optimizer``, ``last_epoch``: as of `LRScheduler`.
    """

    def __init__(
        self, optimizer: Any, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        is_due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return self.gamma if is_due else 1.0

    def _total_factor(self) -> float:
        return float(self.gamma ** (self.last_epoch // self.step_size))


class MultiStepLR(FactorScheduler):
    """Multiply by ``gamma`` at each milestone; twice at one that is given twice.

    ::

        lr_t = lr_0 * gamma ** n,    n = how many milestones are at most t

    **Arguments:** ``optimizer``, ``last_epoch``: as of `LRScheduler`.
    """

    def __init__(
        self,
        optimizer: Any,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        return float(self.gamma ** self.milestones.get(self.last_epoch, 0))

    def _total_factor(self) -> float:
        milestones = sorted(self.milestones.elements())
        return float(self.gamma ** bisect_right(milestones, self.last_epoch))


class ExponentialLR(FactorScheduler):
    """Multiply by ``gamma`` at every epoch: ``lr_t = lr_0 * gamma ** t``.

    **Arguments:** ``optimizer``, ``last_epoch``: as of `LRScheduler`.
    """

    def __init__(self, optimizer: Any, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        return 1.0 if self._is_initial else self.gamma

    def _total_factor(self) -> float:
        return float(self.gamma**self.last_epoch)


class PolynomialLR(FactorScheduler):
    """Go to 0 within ``total_iters`` epochs along a power of the epochs left.

    ::

        lr_t = lr_0 * (1 - t / total_iters) ** power    for t <= total_iters

    **Arguments:** ``optimizer``, ``last_epoch``: as of `LRScheduler`.
    """

    def __init__(
        self,
        optimizer: Any,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def _left(self, epoch: int) -> float:
        return 1.0 - epoch / self.total_iters

    def _factor(self) -> float:
        if self._is_initial or self.last_epoch > self.total_iters:
            return 1.0
        ratio = self._left(self.last_epoch) / self._left(self.last_epoch - 1)
        return float(ratio**self.power)

    def _total_factor(self) -> float:
        epoch = min(self.total_iters, self.last_epoch)
        return float(self._left(epoch) ** self.power)
