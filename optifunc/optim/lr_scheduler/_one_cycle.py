"""The one-cycle policy (Smith and Topin, 2019)."""

from __future__ import annotations

import math
import sys
from typing import Any, Literal

from ._groups import check_optimizer, get_number, one_for_each_group
from ._momentum import MomentumCycle, PerGroup


class OneCycleLR(MomentumCycle):
    """One cycle: up to ``max_lr``, then down to nearly 0 (Smith and Topin, 2019).

    ::

        phase                start -> end                    last step
        1                    initial_lr -> max_lr            pct_start * total - 1
        2                    max_lr -> min_lr                total - 1
        2, of three phases   max_lr -> initial_lr            2 * pct_start * total - 2
        3, of three phases   initial_lr -> min_lr            total - 1

        initial_lr = max_lr / div_factor,    min_lr = initial_lr / final_div_factor
        p    = how much of the phase is done, from 0 to 1
        lr_t = end + (start - end) * (1 + cos(pi * p)) / 2    for "cos"
        lr_t = start + (end - start) * p                      for "linear"

    With ``three_phase``, the way down is divided: as fast as up, then to nearly 0. With
    ``cycle_momentum``, the momentum, or the first of ``betas``, goes from
    ``max_momentum`` to ``base_momentum`` and back in the same way. Call `step` after
    every batch.

    A phase of length 0, for which torch divides by 0, is skipped: with ``pct_start *
    total_steps == 1``, the first learning rate is ``max_lr``.

    **Arguments:**

    - ``optimizer``: the optimizer whose learning rates are set.
    - ``max_lr``: the largest learning rate, a number or a list with one for each group.
    - ``total_steps``: the number of steps (``None``: ``epochs * steps_per_epoch``).
    - ``epochs``, ``steps_per_epoch``: the factors of ``total_steps``, used only if that
      is not given.
    - ``pct_start``: the fraction of the steps in which the learning rate rises, in [0,
      1].
    - ``anneal_strategy``: ``"cos"`` or ``"linear"``.
    - ``cycle_momentum``: whether to set the momentum too.
    - ``base_momentum``, ``max_momentum``: the smallest and the largest momentum, each a
      number or a list with one for each group.
    - ``div_factor``: ``max_lr`` divided by the first learning rate.
    - ``final_div_factor``: the first learning rate divided by the last.
    - ``three_phase``: whether there are three phases instead of two.
    - ``last_epoch``: the epoch to resume after, or -1.

    **Raises:** `ValueError` if the number of steps is not given or not a positive
    integer, ``pct_start`` is not a float in [0, 1], ``anneal_strategy`` is unknown, a
    list has another length, or the optimizer has no momentum (unless
    ``cycle_momentum=False``); also at a `step` after the last one.

    **Source:** Smith and Topin, "Super-Convergence: Very Fast Training of Neural
    Networks Using Large Learning Rates", 2019, arXiv:1708.07120.
    """

    def __init__(
        self,
        optimizer: Any,
        max_lr: PerGroup,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: PerGroup = 0.85,
        max_momentum: PerGroup = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(
                f"Expected float between 0 and 1 pct_start, but got {pct_start!r}"
            )
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                "anneal_strategy must be one of 'cos' or 'linear', instead got "
                f"{anneal_strategy!r}"
            )
        self._anneal_func_type = anneal_strategy
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        max_lrs = one_for_each_group("max_lr", optimizer, max_lr)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            momentums = self._momentum_bounds(optimizer, base_momentum, max_momentum)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, max_lrs, strict=True):
                group["initial_lr"] = lr / div_factor
                group["max_lr"] = lr
                group["min_lr"] = group["initial_lr"] / final_div_factor
            if cycle_momentum:
                self._start_momentum(optimizer, *momentums)
        super().__init__(optimizer, last_epoch)

    def _anneal(self, start: float, end: float, fraction: float) -> float:
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2 * (1 + math.cos(math.pi * fraction))
        return start + (end - start) * fraction

    def _next_lrs(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"Tried to step {self.last_epoch} times. The specified number of total "
                f"steps is {self.total_steps}"
            )
        self._check_groups(len(self.base_lrs))
        # How far rounding may have moved an end; a phase this short has length 0 and is
        # skipped, as in `optifunc.schedules.one_cycle`.
        slack = 4 * sys.float_info.epsilon * self.total_steps
        begin = 0.0
        *phases, last = self._schedule_phases
        for phase in phases:
            if self.last_epoch <= phase["end_step"] + slack:
                break
            begin = phase["end_step"]
        else:
            phase = last
        length = phase["end_step"] - begin
        fraction = (self.last_epoch - begin) / length if abs(length) > slack else 1.0

        def value(group: dict[str, Any], name: str) -> float:
            start = get_number(group, phase[f"start_{name}"])
            end = get_number(group, phase[f"end_{name}"])
            return self._anneal(start, end, fraction)

        groups = self.optimizer.param_groups
        lrs = [value(group, "lr") for group in groups]
        if self.cycle_momentum:
            for group in groups:
                self._set_momentum(group, value(group, "momentum"))
        return lrs


def _total_steps(
    total_steps: int | None, epochs: int | None, steps_per_epoch: int | None
) -> int:
    if total_steps is not None:
        return _positive_integer("total_steps", total_steps)
    if epochs is None or steps_per_epoch is None:
        raise ValueError(
            "You must define either total_steps OR (epochs AND steps_per_epoch): found "
            f"epochs={epochs!r} and steps_per_epoch={steps_per_epoch!r}"
        )
    return _positive_integer("epochs", epochs) * _positive_integer(
        "steps_per_epoch", steps_per_epoch
    )


def _positive_integer(name: str, value: Any) -> int:
    if not isinstance(value, int) or value <= 0:
        raise ValueError(f"Expected positive integer {name}, but got {value!r}")
    return value


def _phases(total: int, pct_start: float, three: bool) -> list[dict[str, Any]]:
    """The phases in the form of torch's checkpoints, with entries of the groups."""

    def phase(end_step: float, lrs: str, momentums: str) -> dict[str, Any]:
        (start_lr, end_lr), (start, end) = lrs.split(), momentums.split()
        return {
            "end_step": end_step,
            "start_lr": f"{start_lr}_lr",
            "end_lr": f"{end_lr}_lr",
            "start_momentum": f"{start}_momentum",
            "end_momentum": f"{end}_momentum",
        }

    up = phase(float(pct_start * total) - 1, "initial max", "max base")
    if not three:
        return [up, phase(total - 1, "max min", "base max")]
    return [
        up,
        phase(float(2 * pct_start * total) - 2, "max initial", "base max"),
        phase(total - 1, "initial min", "max max"),
    ]
