"""Cosine annealing, with and without restarts (Loshchilov and Hutter, 2017)."""

from __future__ import annotations

import math
from typing import Any

from ._base import LRScheduler, check_epoch
from ._groups import current_lrs


class CosineAnnealingLR(LRScheduler):
    """Decay to ``eta_min`` along half a cosine wave, and rise again.

    ::

        w_t  = (1 + cos(pi * t / T_max)) / 2
        lr_t = eta_min + (lr_{t-1} - eta_min) * w_t / w_{t-1}

    If nothing else changes the learning rate, this is
    ``eta_min + (lr_0 - eta_min) * w_t``: SGDR without its restarts.

    **Arguments:**

    - ``optimizer``: the optimizer whose learning rates are set.
    - ``T_max``: half the period, in epochs.
    - ``eta_min``: the smallest learning rate.
    - ``last_epoch``: the epoch to resume after, or -1.

    **Raises:** `ValueError` if ``T_max`` is 0.

    **Source:** Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm
    Restarts", 2017, arXiv:1608.03983.
    """

    def __init__(
        self,
        optimizer: Any,
        T_max: int,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if T_max == 0:
            raise ValueError(f"Expected T_max other than 0, but got {T_max!r}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def _height(self, epoch: float) -> float:
        """Twice the weight ``w`` of an epoch."""
        return 1 + math.cos(math.pi * epoch / self.T_max)

    def _get_closed_form_lr(self) -> list[float]:
        height = self._height(self.last_epoch)
        return [self.eta_min + (lr - self.eta_min) * height / 2 for lr in self.base_lrs]

    def _next_lrs(self) -> list[float]:
        lrs = current_lrs(self.optimizer)
        if self._is_initial:
            return lrs
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            # The previous epoch was a minimum, where the ratio of weights is 1/0.
            climb = (1 - math.cos(math.pi / self.T_max)) / 2
            # Without `strict`: `_assign` reports it if a group was added.
            pairs = zip(lrs, self.base_lrs, strict=False)
            return [lr + (base - self.eta_min) * climb for lr, base in pairs]
        ratio = self._height(self.last_epoch) / self._height(self.last_epoch - 1)
        return [self.eta_min + ratio * (lr - self.eta_min) for lr in lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Decay to ``eta_min`` along half a cosine wave, restart, and repeat.

    ::

        lr_t = eta_min + (lr_0 - eta_min) * (1 + cos(pi * T_cur / T_i)) / 2

    where ``T_cur`` epochs have passed since the last restart, and the cycle lasts
    ``T_i`` epochs: ``T_0`` at first, then ``T_mult`` times as many each time. `step`
    also accepts a fractional epoch, to anneal within an epoch: ``scheduler.step(epoch +
    i / batches)``.

    **Arguments:**

    - ``optimizer``: the optimizer whose learning rates are set.
    - ``T_0``: length of the first cycle, in epochs.
    - ``T_mult``: the ratio of the lengths of successive cycles.
    - ``eta_min``: the smallest learning rate.
    - ``last_epoch``: the epoch to resume after, or -1.

    **Raises:** `ValueError` if ``T_0`` is not a positive integer, ``T_mult`` is not an
    integer of at least 1, or ``eta_min`` is not a number.

    **Source:** Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm
    Restarts", 2017, arXiv:1608.03983.
    """

    T_cur: float
    T_i: float

    def __init__(
        self,
        optimizer: Any,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(T_0, int) or T_0 <= 0:
            raise ValueError(f"Expected positive integer T_0, but got {T_0!r}")
        if not isinstance(T_mult, int) or T_mult < 1:
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult!r}")
        if not isinstance(eta_min, float | int):
            raise ValueError(
                f"Expected float or int eta_min, but got {eta_min!r} of type "
                f"{type(eta_min)}"
            )
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur = last_epoch
        super().__init__(optimizer, last_epoch)

    def _next_lrs(self) -> list[float]:
        height = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [self.eta_min + (lr - self.eta_min) * height / 2 for lr in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go to the next epoch, or to ``epoch``, which may have a fraction.

        **Arguments:**

        - ``epoch``: the epoch to go to.

        **Raises:** `TypeError` if ``epoch`` is not a number, `ValueError` if it is
        negative or not finite. After an error, scheduler and learning rates are
        unchanged.
        """
        if epoch is not None:
            epoch = check_epoch(epoch)
            if epoch < 0:
                raise ValueError(f"Expected non-negative epoch, but got {epoch!r}")
        with self._undone_on_error():
            if epoch is None and self.last_epoch >= 0:
                epoch = self.last_epoch + 1
                self.T_cur += 1
                if self.T_cur >= self.T_i:
                    self.T_cur %= self.T_i
                    self.T_i *= self.T_mult
            else:
                epoch = 0 if epoch is None else epoch
                self._restart_at(epoch)
            self.last_epoch = math.floor(epoch)
            self._assign(self.get_lr)

    def _restart_at(self, epoch: float) -> None:
        """Find the cycle that ``epoch`` is in."""
        if epoch < self.T_0:
            self.T_cur, self.T_i = epoch, self.T_0
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            # T_0 * (T_mult**n - 1) / (T_mult - 1) epochs precede cycle n.
            cycles = epoch / self.T_0 * (self.T_mult - 1) + 1
            growth = self.T_mult ** int(math.log(cycles, self.T_mult))
            self.T_cur = epoch - self.T_0 * (growth - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * growth
