"""Learning rates multiplied by the user's function of the epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ._base import LRScheduler, callable_state, load_callable_state
from ._groups import check_optimizer, current_lrs

Lambda: TypeAlias = Callable[[int], float]


class _LambdaScheduler(LRScheduler):
    def __init__(
        self,
        optimizer: Any,
        lr_lambda: Lambda | Sequence[Lambda],
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        groups = len(optimizer.param_groups)
        if not isinstance(lr_lambda, list | tuple):
            lr_lambda = [lr_lambda] * groups  # type: ignore[list-item]
        if len(lr_lambda) != groups:
            raise ValueError(
                f"Expected {groups} lr_lambdas, but got {len(lr_lambda)}: pass one for "
                "each of optimizer.param_groups, or one for all"
            )
        for function in lr_lambda:
            if not callable(function):
                raise TypeError(
                    f"lr_lambda should be a function, but got {type(function).__name__}"
                )
        self.lr_lambdas = list(lr_lambda)
        super().__init__(optimizer, last_epoch)

    def _factors(self) -> list[float]:
        return [function(self.last_epoch) for function in self.lr_lambdas]

    def state_dict(self) -> dict[str, Any]:
        states = [callable_state(function) for function in self.lr_lambdas]
        return super().state_dict() | {"lr_lambdas": states}

    def _check_state(self, state_dict: Any) -> None:
        super()._check_state(state_dict)
        if len(state_dict["lr_lambdas"]) != len(self.lr_lambdas):
            raise ValueError(
                f"state_dict has {len(state_dict['lr_lambdas'])} lr_lambdas, expected "
                f"{len(self.lr_lambdas)}"
            )

    def _load(self, state_dict: Mapping[str, Any]) -> None:
        states = state_dict["lr_lambdas"]
        for function, state in zip(self.lr_lambdas, states, strict=True):
            load_callable_state(function, state)
        super()._load({**state_dict, "lr_lambdas": self.lr_lambdas})


class LambdaLR(_LambdaScheduler):
    """Multiply the initial learning rate by a function: ``lr_t = lr_0 * lr_lambda(t)``.

    **Arguments:**

    - ``optimizer``: the optimizer whose learning rates are set.
    - ``lr_lambda``: a function of the epoch, or a list with one for each group.
    - ``last_epoch``: the epoch to resume after, or -1.

    **Raises:** `ValueError` if there is not one function for each group, `TypeError`
    if one cannot be called.
    """

    def _next_lrs(self) -> list[float]:
        pairs = zip(self.base_lrs, self._factors(), strict=True)
        return [lr * factor for lr, factor in pairs]


class MultiplicativeLR(_LambdaScheduler):
    """Multiply by a function at every epoch: ``lr_t = lr_{t-1} * lr_lambda(t)``.

    **Arguments:**

    - ``optimizer``: the optimizer whose learning rates are set.
    - ``lr_lambda``: a function of the epoch, or a list with one for each group.
    - ``last_epoch``: the epoch to resume after, or -1.

    **Raises:** `ValueError` if there is not one function for each group, `TypeError`
    if one cannot be called.
    """

    def _next_lrs(self) -> list[float]:
        lrs = current_lrs(self.optimizer)
        if self._is_initial:
            return lrs
        # Without `strict`: `_assign` reports it if a group was added.
        pairs = zip(lrs, self._factors(), strict=False)
        return [lr * factor for lr, factor in pairs]
