"""What all schedulers share: bookkeeping, and reading and writing of param_groups.

A scheduler lives on the host. It computes with Python numbers, so in float64, and
writes its results into the ``param_groups`` of an optimizer, which reads them at its
next step.
"""

import math
import types
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from .._optimizer import Optimizer


def check_optimizer(optimizer: Any) -> None:
    """Check that ``optimizer`` is one of ours."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def get_number(group: Mapping[str, Any], key: str) -> float:
    """A hyperparameter of a group, as a Python number.

    **Raises:** `TypeError` where it is a schedule.
    """
    value = group[key]
    if callable(value):
        raise TypeError(
            f"{key} is a schedule, {value!r}; a scheduler needs a number to start from"
        )
    return float(value)


def set_number(group: dict[str, Any], key: str, value: float) -> None:
    """Replace a hyperparameter; an array stays an array of its dtype and sharding."""
    old = group.get(key)
    if isinstance(old, jax.Array):
        group[key] = jnp.full_like(old, value)
    else:
        group[key] = value


def current_lrs(optimizer: Optimizer) -> list[float]:
    """The learning rate of each group."""
    return [get_number(group, "lr") for group in optimizer.param_groups]


def one_for_each_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """``value`` for each group: a list or tuple of them, or one for all.

    **Raises:** `ValueError` if their number is not that of the groups.
    """
    groups = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups: "
            f"found {len(value)} values for {groups} groups"
        )
    return list(value)


def callable_state(function: Any) -> dict[str, Any] | None:
    """What a checkpoint keeps of a callable: its attributes; of a function nothing."""
    if function is None or isinstance(function, types.FunctionType):
        return None
    return dict(getattr(function, "__dict__", {}))


def load_callable_state(function: Any, state: Mapping[str, Any] | None) -> None:
    """Put the attributes from `callable_state` back."""
    if state:
        function.__dict__.update(state)


def cosine(start: float, end: float, fraction: float) -> float:
    """From ``start`` at 0 to ``end`` at 1 along half a wave of the cosine."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * fraction))


def warn_of_epoch() -> None:
    """Say that `step` is given an epoch, where torch's `step` does."""
    warnings.warn(
        "The epoch parameter in `scheduler.step()` is deprecated: call step() without "
        "it. Where it is given, the closed form is used in place of the recursion",
        UserWarning,
        stacklevel=3,
    )


class LRScheduler:
    """Base of all schedulers, as `torch.optim.lr_scheduler.LRScheduler`.

    A scheduler of one's own defines ``get_lr(self) -> list[float]``, the learning rate
    of each group at ``self.last_epoch``, from the values before it
    (``self.optimizer.param_groups``) or from those at the start (``self.base_lrs``).

    **Arguments:** ``optimizer``: has ``param_groups``; each is given the entry
    ``"initial_lr"`` where it has none. ``last_epoch``: the epoch to resume after, or
    -1 to start anew.

    **Raises:** `TypeError` if ``optimizer`` is none, `KeyError` if ``last_epoch`` is
    given and a group has no ``"initial_lr"``.
    """

    # Flags, as part of torch's checkpoints: whether the constructor is at work, which
    # takes step 0 without changing what an earlier run left in the groups; and whether
    # `get_lr` is called from `step`.
    _is_initial: bool = False
    _get_lr_called_within_step: bool = False
    # Entries that older releases of torch did not write.
    _may_be_missing: ClassVar[frozenset[str]] = frozenset()

    optimizer: Optimizer
    last_epoch: int
    base_lrs: list[float]
    _step_count: int
    _last_lr: list[float]

    def __init__(self, optimizer: Any, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", get_number(group, "lr"))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when "
                    f"resuming scheduler with last_epoch {last_epoch}: load the "
                    "optimizer's checkpoint first, or start anew with last_epoch=-1"
                )
        self.optimizer = optimizer
        self.base_lrs = [
            get_number(group, "initial_lr") for group in optimizer.param_groups
        ]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch: call it after the optimizer's `step`.

        **Arguments:** ``epoch``: the epoch to go to (deprecated, as in torch).
        """
        if self._step_count == 1 and not self.optimizer._opt_called:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: in "
                "this order the first value of the schedule is never used. Call "
                "`optimizer.step()` first",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warn_of_epoch()
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        if epoch is None:
            self.last_epoch += 1
            self._assign(self.get_lr)
        else:
            self.last_epoch = epoch
            self._assign(getattr(self, "_get_closed_form_lr", self.get_lr))

    def _assign(self, formula: Callable[[], list[float]]) -> None:
        self._get_lr_called_within_step = True
        try:
            lrs = formula()
        finally:
            self._get_lr_called_within_step = False
        groups = self.optimizer.param_groups
        if len(lrs) != len(groups):
            raise ValueError(
                f"{type(self).__name__} has learning rates for {len(lrs)} groups and "
                f"the optimizer has {len(groups)} of them: add a group before the "
                "scheduler is built"
            )
        for group, lr in zip(groups, lrs, strict=True):
            set_number(group, "lr", lr)
        self._last_lr = current_lrs(self.optimizer)

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group, as this scheduler last set it."""
        return list(self._last_lr)

    def get_lr(self) -> list[float]:
        """The formula: the learning rate of each group at ``last_epoch``.

        `step` calls it; to read what it has set, use `get_last_lr`.
        """
        if not self._get_lr_called_within_step:
            warnings.warn(
                "get_lr() computes a step of the schedule; to get the last learning "
                "rate computed by the scheduler, please use `get_last_lr()`",
                UserWarning,
                stacklevel=2,
            )
        return self._next_lrs()

    def _next_lrs(self) -> list[float]:
        raise NotImplementedError(f"{type(self).__name__} must define get_lr()")

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, with torch's keys: torch's scheduler loads it.

        Of a callable (a ``lr_lambda``, a ``scale_fn``) it has the attributes, and
        nothing of a plain function, which the one who loads it must give again.
        """
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`, of this class or of torch's of the same name.

        The learning rates themselves are in the optimizer's checkpoint.

        **Raises:** `TypeError` if it is no dict, `ValueError` if it lacks an entry;
        the scheduler is then as it was before.
        """
        self._check_state(state_dict)
        self._load(state_dict)

    def _check_state(self, state_dict: Any) -> None:
        name = type(self).__name__
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"state_dict must be a dict, found {type(state_dict).__name__}"
            )
        missing = sorted(
            key
            for key in self.state_dict()
            if key not in state_dict
            and not key.startswith("_")
            and key not in self._may_be_missing
        )
        if missing:
            raise ValueError(f"state_dict is not of a {name}: it has no {missing}")

    def _load(self, state_dict: Mapping[str, Any]) -> None:
        vars(self).update(
            {key: _without_arrays(value) for key, value in state_dict.items()}
        )


def _without_arrays(value: Any) -> Any:
    """Python numbers in the places of scalar arrays, whatever library made them."""
    if isinstance(value, list):
        return [_without_arrays(x) for x in value]
    if hasattr(value, "item") and np.ndim(value) == 0:
        return value.item()
    return value


class FactorScheduler(LRScheduler):
    """Base of schedulers that multiply all learning rates by one factor.

    They compose: whatever else changes a learning rate, the factors multiply up.
    """

    def _factor(self) -> float:
        """The learning rate at ``last_epoch``, divided by the one before."""
        raise NotImplementedError

    def _total_factor(self) -> float:
        """The learning rate at ``last_epoch``, divided by the initial one."""
        raise NotImplementedError

    def _next_lrs(self) -> list[float]:
        factor = self._factor()
        return [lr * factor for lr in current_lrs(self.optimizer)]

    def _get_closed_form_lr(self) -> list[float]:
        factor = self._total_factor()
        return [lr * factor for lr in self.base_lrs]
