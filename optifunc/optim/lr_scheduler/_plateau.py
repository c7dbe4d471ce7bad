"""A learning rate that is reduced when a metric stops improving."""

from __future__ import annotations

import math
from typing import Any, Literal, SupportsFloat

from ._base import LRScheduler, check_epoch, warn_of_epoch
from ._groups import check_optimizer, current_lrs, get_number, set_number


class ReduceLROnPlateau(LRScheduler):
    """Multiply by ``factor`` after more than ``patience`` epochs without improvement.

    A metric ``m`` is an improvement on the best so far ``b`` if

    ::

        m < b * (1 - threshold)    for the mode "min", threshold_mode "rel"
        m < b - threshold          for the mode "min", threshold_mode "abs"
        m > b * (1 + threshold)    for the mode "max", threshold_mode "rel"
        m > b + threshold          for the mode "max", threshold_mode "abs"

    **Arguments:**

    - ``optimizer``: the optimizer whose learning rates are set.
    - ``mode``: ``"min"`` if a smaller metric is better, ``"max"`` if a greater one is.
    - ``factor``: the factor of the learning rate, below 1.
    - ``patience``: the number of epochs without improvement before a reduction.
    - ``threshold``: the improvement on the best so far that counts, as above.
    - ``threshold_mode``: ``"rel"`` or ``"abs"``, as above.
    - ``cooldown``: the number of epochs after a reduction that do not count as bad.
    - ``min_lr``: the smallest learning rate, a number or a list with one for each
      group.
    - ``eps``: reductions of at most this size are skipped.

    **Raises:** `ValueError` if ``factor`` is 1 or greater, a mode is unknown or
    ``min_lr`` has another length; `TypeError` if ``optimizer`` is not an optimizer;
    `RuntimeError` at a reduction if groups were added after a list was given for
    ``min_lr``.
    """

    _may_be_missing = frozenset({"default_min_lr"})

    def __init__(
        self,
        optimizer: Any,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: list[float] | float = 0,
        eps: float = 1e-8,
    ) -> None:
        if not factor < 1:
            raise ValueError(f"Factor should be < 1.0, found {factor!r}")
        check_optimizer(optimizer)
        groups = len(optimizer.param_groups)
        self.default_min_lr: float | None
        if isinstance(min_lr, list | tuple):
            if len(min_lr) != groups:
                raise ValueError(f"expected {groups} min_lrs, got {len(min_lr)}")
            self.default_min_lr = None
            self.min_lrs = list(min_lr)
        else:
            self.default_min_lr = min_lr
            self.min_lrs = [min_lr] * groups
        _check_modes(mode, threshold_mode)
        self.factor = factor
        self.optimizer = optimizer
        self.patience = patience
        self.cooldown = cooldown
        self.eps = eps
        self.last_epoch = 0
        self._last_lr = current_lrs(optimizer)
        self.mode = mode
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self._reset()

    def _reset(self) -> None:
        """Forget the metrics seen so far."""
        self.best = self.mode_worse
        self.cooldown_counter = 0
        self.num_bad_epochs = 0

    def step(  # type: ignore[override]  # torch's: this one needs the metric
        self, metrics: SupportsFloat, epoch: int | None = None
    ) -> None:
        """Go to the next epoch.

        **Arguments:**

        - ``metrics``: the metric of this epoch, a number or an array with one.
        - ``epoch``: the epoch to go to (deprecated, as in torch).

        **Raises:** `TypeError` if ``epoch`` is not a number, `ValueError` if it is not
        finite.
        """
        current = float(metrics)
        if epoch is not None:
            epoch = check_epoch(epoch)
            warn_of_epoch()
        epoch = self.last_epoch + 1 if epoch is None else epoch
        is_better = self._is_better(current, self.best)
        bad_epochs = 0 if is_better or self.in_cooldown else self.num_bad_epochs + 1
        if bad_epochs > self.patience:
            self._reduce_lr(epoch)
            self.cooldown_counter = self.cooldown
            bad_epochs = 0
        elif self.in_cooldown:
            self.cooldown_counter -= 1
        self.best = current if is_better else self.best
        self.num_bad_epochs = bad_epochs
        self.last_epoch = epoch
        self._last_lr = current_lrs(self.optimizer)

    @property
    def in_cooldown(self) -> bool:
        """Whether epochs currently do not count as bad because of a reduction."""
        return self.cooldown_counter > 0

    def _is_better(self, metric: float, best: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            bar = best * (1.0 + sign * self.threshold)
        else:
            bar = best + sign * self.threshold
        return metric > bar if self.mode == "max" else metric < bar

    def _reduce_lr(self, epoch: int) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"The number of param groups in the `optimizer` ({len(groups)}) "
                    "differs from when `ReduceLROnPlateau` was initialized "
                    f"({len(self.min_lrs)}): set `min_lrs` to one value for each group"
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, min_lr in zip(groups, self.min_lrs, strict=True):
            old = get_number(group, "lr")
            new = max(old * self.factor, min_lr)
            if old - new > self.eps:
                set_number(group, "lr", new)

    def _check_state(self, state_dict: Any) -> None:
        super()._check_state(state_dict)
        _check_modes(state_dict["mode"], state_dict["threshold_mode"])


def _check_modes(mode: str, threshold_mode: str) -> None:
    if mode not in ("min", "max"):
        raise ValueError(f"mode {mode} is unknown! Expected 'min' or 'max'")
    if threshold_mode not in ("rel", "abs"):
        raise ValueError(
            f"threshold mode {threshold_mode} is unknown! Expected 'rel' or 'abs'"
        )
