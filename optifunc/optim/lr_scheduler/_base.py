"""What all schedulers share: counting epochs, setting learning rates, checkpoints.

A scheduler runs on the host. It computes with Python numbers, that is, in float64, and
writes its results to the ``param_groups`` of an optimizer, which reads them at its next
step.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import numbers
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .._checks import check_is_state_dict, entry_with
from .._optimizer import Optimizer
from .._signatures import checked_constructor
from ._groups import check_optimizer, current_lrs, get_number, set_number


def callable_state(function: Any) -> dict[str, Any] | None:
    """The part of a callable in a checkpoint: its attributes; None for a function."""
    if function is None or isinstance(function, types.FunctionType):
        return None
    return dict(getattr(function, "__dict__", {}))


def load_callable_state(function: Any, state: Mapping[str, Any] | None) -> None:
    """Restore the attributes from `callable_state`."""
    if state:
        function.__dict__.update(state)


def check_epoch(epoch: Any) -> Any:
    """The argument of `step` as a Python number.

    As in torch, negative epochs and fractions are allowed; the formulas handle them.

    **Raises:** `TypeError` if it is not a number, `ValueError` if it is not finite.
    """
    epoch = _without_array(epoch)
    if not isinstance(epoch, numbers.Real):
        raise TypeError(f"epoch must be a number, found {epoch!r}")
    if not math.isfinite(epoch):
        raise ValueError(f"epoch must be finite, found {epoch!r}")
    return epoch


def warn_of_epoch() -> None:
    """Warn that `step` was called with an epoch, where torch's `step` does."""
    warnings.warn(
        "The epoch parameter in `scheduler.step()` is deprecated: call step() without "
        "it. If it is given, the closed form is used instead of the recursion",
        UserWarning,
        stacklevel=3,
    )


class LRScheduler:
    """Base class of all schedulers, like `torch.optim.lr_scheduler.LRScheduler`.

    A subclass defines ``get_lr(self) -> list[float]``, the learning rate of each group
    at ``self.last_epoch``, from the values before it (``self.optimizer.param_groups``)
    or from those at the start (``self.base_lrs``).

    **Arguments:**

    - ``optimizer``: an optimizer with ``param_groups``. Each group without an entry
      ``"initial_lr"`` gets one.
    - ``last_epoch``: the epoch to resume after, or -1 to start from the beginning.

    **Raises:** `TypeError` if ``optimizer`` is not an optimizer of `optifunc.optim`,
    `KeyError` if ``last_epoch`` is given and a group has no ``"initial_lr"``.
    """

    # Flags that are part of torch's checkpoints: whether the constructor is running,
    # which takes step 0 without changing what an earlier run left in the groups; and
    # whether `get_lr` is called from `step`.
    _is_initial: bool = False
    _get_lr_called_within_step: bool = False
    # Entries that older torch versions did not write.
    _may_be_missing: ClassVar[frozenset[str]] = frozenset()

    optimizer: Optimizer
    last_epoch: int
    base_lrs: list[float]
    _step_count: int
    _last_lr: list[float]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = checked_constructor(cls.__init__)  # type: ignore[method-assign]

    def __init__(self, optimizer: Any, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", get_number(group, "lr"))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when "
                    f"resuming scheduler with last_epoch {last_epoch}: load the "
                    "optimizer's checkpoint first, or start over with last_epoch=-1"
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

        **Arguments:**

        - ``epoch``: the epoch to go to (deprecated, as in torch).

        **Raises:** `TypeError` if ``epoch`` is not a number, `ValueError` if it is not
        finite. After any error, scheduler and learning rates are unchanged.
        """
        if epoch is not None:
            epoch = check_epoch(epoch)
        if self._step_count == 1 and not self.optimizer._opt_called:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: in "
                "this order the first value of the schedule is never used. Call "
                "`optimizer.step()` first",
                UserWarning,
                stacklevel=2,
            )
        if epoch is not None:
            warn_of_epoch()
        with self._undone_on_error():
            self._step_count += 1
            self._update_lr(epoch)

    def _members(self) -> Sequence[LRScheduler]:
        """The schedulers that this one steps."""
        return ()

    @contextlib.contextmanager
    def _undone_on_error(self) -> Iterator[None]:
        """Restore scheduler and groups if the step fails: all or nothing."""
        dicts = [vars(self), *map(vars, self._members()), *self.optimizer.param_groups]
        before = [dict(entries) for entries in dicts]
        try:
            yield
        except BaseException:
            for entries, old in zip(dicts, before, strict=True):
                entries.update(old)
            raise

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
        self._check_groups(len(lrs))
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            set_number(group, "lr", lr)
        self._last_lr = current_lrs(self.optimizer)

    def _check_groups(self, known: int) -> None:
        """Check that there is a value for each group."""
        groups = len(self.optimizer.param_groups)
        if known != groups:
            raise ValueError(
                f"{type(self).__name__} has learning rates for {known} groups and the "
                f"optimizer has {groups} of them: add a group before the scheduler is "
                "built"
            )

    def __repr__(self) -> str:
        """The stored settings, the epoch and the current learning rates."""
        kept = vars(self)
        shown = {}
        for name in inspect.signature(type(self)).parameters:
            # Some are private, some are a list with one for each group.
            spellings = (name, f"_{name}", f"{name}s")
            found = next((key for key in spellings if key in kept), None)
            if found is not None and name != "optimizer":
                shown[name] = kept[found]
        shown |= {"last_epoch": kept.get("last_epoch"), "last_lr": kept.get("_last_lr")}
        known = {name: value for name, value in shown.items() if value is not None}
        settings = ", ".join(f"{name}={value!r}" for name, value in known.items())
        return f"{type(self).__name__}({settings})"

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group that this scheduler last set."""
        return list(self._last_lr)

    def get_lr(self) -> list[float]:
        """The formula: the learning rate of each group at ``last_epoch``.

        `step` calls it; to read the current values, use `get_last_lr`.
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
        """Everything but the optimizer, with torch's keys, so that torch can load it.

        For a callable object (a ``lr_lambda``, a ``scale_fn``), it holds the
        attributes. For a plain function, it holds nothing; pass the function again when
        you load it.
        """
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict` of this class or torch's of the same name.

        The learning rates themselves are in the optimizer's checkpoint.

        **Arguments:**

        - ``state_dict``: the result of `state_dict`.

        **Raises:** `TypeError` if it is not a dict, `ValueError` if it lacks an entry;
        the scheduler is then unchanged.
        """
        self._check_state(state_dict)
        self._load(state_dict)

    def _check_state(self, state_dict: Any) -> None:
        name = type(self).__name__
        check_is_state_dict(state_dict)
        needed = sorted(
            key
            for key in self.state_dict()
            if not key.startswith("_") and key not in self._may_be_missing
        )
        missing = [key for key in needed if key not in state_dict]
        if missing:
            raise ValueError(
                f"state_dict is not of a {name}: it has no {missing}"
                f"{entry_with(state_dict, needed)}"
            )

    def _load(self, state_dict: Mapping[str, Any]) -> None:
        vars(self).update(
            {key: _without_arrays(value) for key, value in state_dict.items()}
        )


def _without_arrays(value: Any) -> Any:
    """Python numbers instead of scalar arrays from any library."""
    if isinstance(value, list):
        return [_without_arrays(x) for x in value]
    return _without_array(value)


def _without_array(value: Any) -> Any:
    is_scalar = hasattr(value, "item") and np.ndim(value) == 0
    return value.item() if is_scalar else value


class FactorScheduler(LRScheduler):
    """Base class of schedulers that multiply all learning rates by one factor.

    They can be combined, also with other changes of the learning rate: the factors
    multiply.
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
