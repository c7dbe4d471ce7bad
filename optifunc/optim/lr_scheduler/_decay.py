"""Learning rates that change by a factor: linear, by a power, and in steps."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ._base import FactorScheduler


class LinearLR(FactorScheduler):
    """Go linearly from one multiple of the learning rate to another.

    ::

        f_t  = start_factor + (end_factor - start_factor) * min(t / total_iters, 1)
        lr_t = lr_0 * f_t

    As in torch, ``total_iters=0`` stays at ``lr_0 * start_factor``.

    **Arguments:**

    - ``optimizer``: the optimizer whose learning rates are set.
    - ``start_factor``: the multiple at epoch 0, in (0, 1].
    - ``end_factor``: the multiple from epoch ``total_iters`` on, in [0, 1].
    - ``total_iters``: the number of epochs between them.
    - ``last_epoch``: the epoch to resume after, or -1.

    **Raises:** `ValueError` if ``start_factor`` or ``end_factor`` is out of range.
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
        done = _fraction(self.last_epoch, self.total_iters)
        return self.start_factor + (self.end_factor - self.start_factor) * done


class PolynomialLR(FactorScheduler):
    """Decay to 0 within ``total_iters`` epochs, as a power of the remaining epochs.

    ::

        lr_t = lr_0 * (1 - min(t / total_iters, 1)) ** power

    As in torch, ``total_iters=0`` stays at ``lr_0``.

    **Arguments:**

    - ``optimizer``: the optimizer whose learning rates are set.
    - ``total_iters``: the epoch at which the learning rate is 0.
    - ``power``: 1 for linear decay, greater to decay faster at first.
    - ``last_epoch``: the epoch to resume after, or -1.
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

    def _factor(self) -> float:
        if self._is_initial or self.last_epoch > self.total_iters:
            return 1.0
        left = 1.0 - self.last_epoch / self.total_iters
        left_before = 1.0 - (self.last_epoch - 1) / self.total_iters
        return float((left / left_before) ** self.power)

    def _total_factor(self) -> float:
        left = 1.0 - _fraction(self.last_epoch, self.total_iters)
        return float(left**self.power)


def _fraction(epoch: float, total_iters: float) -> float:
    """The fraction of ``total_iters`` that is done; 0 if that is 0, as in `step`."""
    return min(total_iters, epoch) / total_iters if total_iters else 0.0


class ExponentialLR(FactorScheduler):
    """Multiply by ``gamma`` at every epoch: ``lr_t = lr_0 * gamma ** t``.

    **Arguments:**

    - ``optimizer``: the optimizer whose learning rates are set.
    - ``gamma``: the factor of the learning rate.
    - ``last_epoch``: the epoch to resume after, or -1.
    """

    def __init__(self, optimizer: Any, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        return 1.0 if self._is_initial else self.gamma

    def _total_factor(self) -> float:
        return float(self.gamma**self.last_epoch)


class StepLR(FactorScheduler):
    """Multiply by ``gamma`` every ``step_size`` epochs.

    ::

        lr_t = lr_0 * gamma ** (t // step_size)

    **Arguments:**

    - ``optimizer``: the optimizer whose learning rates are set.
    - ``step_size``: the number of epochs between two changes.
    - ``gamma``: the factor of the learning rate.
    - ``last_epoch``: the epoch to resume after, or -1.

    **Raises:** `ValueError` if ``step_size`` is 0.
    """

    def __init__(
        self, optimizer: Any, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if step_size == 0:
            raise ValueError(f"Expected step_size other than 0, but got {step_size!r}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        is_due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return self.gamma if is_due else 1.0

    def _total_factor(self) -> float:
        return float(self.gamma ** (self.last_epoch // self.step_size))


class MultiStepLR(FactorScheduler):
    """Multiply by ``gamma`` at each milestone; twice if it is listed twice.

    ::

        lr_t = lr_0 * gamma ** n,    n = how many milestones are at most t

    **Arguments:**

    - ``optimizer``: the optimizer whose learning rates are set.
    - ``milestones``: epochs, in any order.
    - ``gamma``: the factor of the learning rate.
    - ``last_epoch``: the epoch to resume after, or -1.
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
