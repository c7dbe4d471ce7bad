"""Learning rates that rise and fall, and momentum that does the opposite."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from ._scheduler import (
    LRScheduler,
    callable_state,
    check_optimizer,
    cosine,
    get_number,
    load_callable_state,
    one_for_each_group,
    set_number,
)

PerGroup: TypeAlias = float | list[float] | tuple[float, ...]


class _MomentumCycle(LRScheduler):
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


class CyclicLR(_MomentumCycle):
    """Go up and down between two learning rates along lines (Smith, 2017).

    ::

        cycle = floor(1 + t / total),    x = 1 + t / total - cycle
        h     = x * total / step_size_up             while going up
        h     = (1 - x) * total / step_size_down     while going down
        lr_t  = base_lr + (max_lr - base_lr) * h * scale

    where ``total = step_size_up + step_size_down`` and ``scale`` is 1 for the mode
    ``"triangular"``, ``2 ** (1 - cycle)`` for ``"triangular2"`` and ``gamma ** t`` for
    ``"exp_range"``. With ``cycle_momentum`` the momentum, or the first of ``betas``, is
    ``max_momentum - (max_momentum - base_momentum) * h * scale``. To be called after
    every batch.

    **Arguments:** ``base_lr``, ``max_lr``, ``base_momentum``, ``max_momentum``: a
    number, or a list of one for each group. ``step_size_down``: by default as
    ``step_size_up``. ``scale_fn``: in the place of ``mode``, a function of the cycle or
    (with ``scale_mode="iterations"``) of ``t``. ``last_epoch``: as of `LRScheduler`.

    **Raises:** `ValueError` for an unknown ``mode``, a list of another length, or an
    optimizer without momentum (unless ``cycle_momentum=False``).

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
        # An earlier scheduler's "initial_lr" is not where this one begins.
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """How high the cycle ``x``, or the cycle at epoch ``x``, is."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular":
            return 1.0
        return float(self.gamma**x if self.mode == "exp_range" else 2.0 ** (1 - x))

    def _next_lrs(self) -> list[float]:
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


class OneCycleLR(_MomentumCycle):
    """One cycle: up to ``max_lr``, then down to almost nothing (Smith and Topin, 2018).

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

    With ``three_phase`` the way down is divided: as fast as up, then to almost nothing.
    With ``cycle_momentum`` the momentum, or the first of ``betas``, goes from
    ``max_momentum`` to ``base_momentum`` and back in the same way. To be called after
    every batch.

    **Arguments:** ``max_lr``, ``base_momentum``, ``max_momentum``: a number, or a list
    of one for each group. ``total_steps``: or else both ``epochs`` and
    ``steps_per_epoch``, of which it is the product. ``last_epoch``: as of
    `LRScheduler`.

    **Raises:** `ValueError` if the number of steps is not given or not a positive
    integer, ``pct_start`` is no float in [0, 1], ``anneal_strategy`` is unknown, a list
    has another length, or the optimizer has no momentum (unless
    ``cycle_momentum=False``); at `step` after the last one.

    **Source:** Smith and Topin, "Super-Convergence: Very Fast Training of Neural
    Networks Using Large Learning Rates", 2018, arXiv:1708.07120.
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
            return cosine(start, end, fraction)
        return start + (end - start) * fraction

    def _next_lrs(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"Tried to step {self.last_epoch} times. The specified number of total "
                f"steps is {self.total_steps}"
            )
        begin = 0.0
        *phases, last = self._schedule_phases
        for phase in phases:
            if self.last_epoch <= phase["end_step"]:
                break
            begin = phase["end_step"]
        else:
            phase = last
        length = phase["end_step"] - begin
        # A phase of no steps is over at once.
        fraction = (self.last_epoch - begin) / length if length else 1.0

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
