"""Momentum that a scheduler moves against the learning rate."""

from __future__ import annotations

from typing import Any, TypeAlias

from ._base import LRScheduler
from ._groups import one_for_each_group, set_number

PerGroup: TypeAlias = float | list[float] | tuple[float, ...]


class MomentumCycle(LRScheduler):
    """A scheduler that may also set ``momentum``, or the first of ``betas``."""

    _may_be_missing = frozenset({"use_beta1"})

    cycle_momentum: bool
    use_beta1: bool

    def _momentum_bounds(
        self, optimizer: Any, base_momentum: PerGroup, max_momentum: PerGroup
    ) -> tuple[list[float], list[float]]:
        """The bounds of each group; also finds which hyperparameter is the momentum."""
        self.use_beta1 = "betas" in optimizer.defaults
        if not self.use_beta1 and "momentum" not in optimizer.defaults:
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option "
                f"enabled, found {type(optimizer).__name__} with "
                f"{sorted(optimizer.defaults)}"
            )
        return (
            one_for_each_group("base_momentum", optimizer, base_momentum),
            one_for_each_group("max_momentum", optimizer, max_momentum),
        )

    def _start_momentum(
        self, optimizer: Any, base_momentums: list[float], max_momentums: list[float]
    ) -> None:
        for group, low, high in zip(
            optimizer.param_groups, base_momentums, max_momentums, strict=True
        ):
            self._set_momentum(group, high)
            group["max_momentum"] = high
            group["base_momentum"] = low

    def _set_momentum(self, group: dict[str, Any], momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            set_number(group, "momentum", momentum)
