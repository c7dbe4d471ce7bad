"""Cyclical learning rates (Smith, 2017)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

from ._base import callable_state, load_callable_state
from ._groups import check_optimizer, one_for_each_group, set_number
from ._momentum import MomentumCycle, PerGroup


class CyclicLR(MomentumCycle):
    """Rise and fall linearly between two learning rates (Smith, 2017).

    ::

        cycle = floor(1 + t / total),    x = 1 + t / total - cycle
        h     = x * total / step_size_up             while going up
        h     = (1 - x) * total / step_size_down     while going down
        lr_t  = base_lr + (max_lr - base_lr) * h * scale

    where ``total = step_size_up + step_size_down`` and ``scale`` is 1 for the mode
    ``"triangular"``, ``2 ** (1 - cycle)`` for ``"triangular2"`` and ``gamma ** t`` for
    ``"exp_range"``. With ``cycle_momentum`` the momentum, or the first of ``betas``, is
    ``max_momentum - (max_momentum - base_momentum) * h * scale``. Call `step` after
    every batch.

    **Arguments:**

    - ``optimizer``: the optimizer whose learning rates are set.
    - ``base_lr``, ``max_lr``: the smallest and the largest learning rate, each a number
      or a list with one for each group.
    - ``step_size_up``: the number of batches on the way up.
    - ``step_size_down``: the number on the way down (``None``: the same).
    - ``mode``: ``"triangular"``, ``"triangular2"`` or ``"exp_range"``, as above;
      ignored if there is a ``scale_fn``.
    - ``gamma``: the base of the power in ``"exp_range"``.
    - ``scale_fn``: a function that returns ``scale``, instead of ``mode``.
    - ``scale_mode``: whether ``scale_fn`` is a function of ``cycle`` (``"cycle"``) or
      of ``t`` (``"iterations"``).
    - ``cycle_momentum``: whether to set the momentum too.
    - ``base_momentum``, ``max_momentum``: the smallest and the largest momentum, each a
      number or a list with one for each group.
    - ``last_epoch``: the epoch to resume after, or -1.

    **Raises:** `ValueError` for an unknown ``mode``, a ``step_size_up`` of 0, a list of
    another length, or an optimizer without momentum (unless ``cycle_momentum=False``).

    **Source:** Smith, "Cyclical Learning Rates for Training Neural Networks", 2017,
    arXiv:1506.01186.
    """

    def __init__(
        self,
        optimizer: Any,
        base_lr: PerGroup,
        max_lr: PerGroup,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: PerGroup = 0.8,
        max_momentum: PerGroup = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        base_lrs = one_for_each_group("base_lr", optimizer, base_lr)
        self.max_lrs = one_for_each_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        if up == 0:
            raise ValueError(
                f"Expected step_size_up other than 0, but got {step_size_up!r}"
            )
        down = up if step_size_down is None else float(step_size_down)
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        modes = ("triangular", "triangular2", "exp_range")
        if mode not in modes and scale_fn is None:
            raise ValueError(
                f"mode is invalid and scale_fn is None: mode is {mode!r}, expected one "
                f"of {modes}"
            )
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = self._momentum_bounds(
                optimizer, base_momentum, max_momentum
            )
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                set_number(group, "lr", lr)
            if cycle_momentum:
                self._start_momentum(optimizer, self.base_momentums, self.max_momentums)
        super().__init__(optimizer, last_epoch)
        # This scheduler does not start at an earlier scheduler's "initial_lr".
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height of a cycle: ``scale`` in the equations above.

        **Arguments:**

        - ``x``: the number of the cycle, or the epoch, depending on ``scale_mode``.
        """
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular":
            return 1.0
        return float(self.gamma**x if self.mode == "exp_range" else 2.0 ** (1 - x))

    def _next_lrs(self) -> list[float]:
        self._check_groups(len(self.base_lrs))
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        done = 1.0 + self.last_epoch / self.total_size - cycle
        if done <= self.step_ratio:
            height = done / self.step_ratio
        else:
            height = (done - 1) / (self.step_ratio - 1)
        height *= self.scale_fn(
            cycle if self.scale_mode == "cycle" else self.last_epoch
        )
        if self.cycle_momentum:
            for group, low, high in zip(
                self.optimizer.param_groups,
                self.base_momentums,
                self.max_momentums,
                strict=True,
            ):
                self._set_momentum(group, high - (high - low) * height)
        pairs = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * height for low, high in pairs]

    def state_dict(self) -> dict[str, Any]:
        scale_fn = callable_state(self._scale_fn_custom)
        return super().state_dict() | {"_scale_fn_custom": scale_fn}

    def _load(self, state_dict: Mapping[str, Any]) -> None:
        load_callable_state(self._scale_fn_custom, state_dict.get("_scale_fn_custom"))
        super()._load({**state_dict, "_scale_fn_custom": self._scale_fn_custom})
