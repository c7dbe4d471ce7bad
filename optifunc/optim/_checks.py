"""Checks of constructor arguments, with torch's exceptions and messages.

Comparisons are written so that NaN fails them.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from .._checks import check_function
from ._arrays import is_array


def require(holds: Any, message: str, error: type[Exception] = ValueError) -> None:
    """Raise ``error`` with ``message`` unless ``holds``."""
    if not holds:
        raise error(message)


def is_array_valued(value: Any) -> bool:
    """Whether a hyperparameter is an array (torch: a Tensor) and not a number."""
    return is_array(value) and not isinstance(value, np.generic)


def check_array_lr(lr: Any) -> None:
    """Check that a learning rate that is an array has one element."""
    if is_array_valued(lr):
        require(np.size(lr) == 1, "Tensor lr must be 1-element")


def check_lr(lr: Any) -> None:
    """Check a learning rate."""
    check_array_lr(lr)
    require(lr >= 0.0, f"Invalid learning rate: {lr}")


def check_eps(eps: Any) -> None:
    """Check what is added to a denominator."""
    require(eps >= 0.0, f"Invalid epsilon value: {eps}")


def check_not_negative(**values: Any) -> None:
    """Check hyperparameters that must not be negative."""
    for name, value in values.items():
        require(value >= 0.0, f"Invalid {name} value: {value}")


def check_betas(betas: Any) -> None:
    """Check two decay rates."""
    for i in range(2):
        require(
            0.0 <= betas[i] < 1.0, f"Invalid beta parameter at index {i}: {betas[i]}"
        )


def check_no_schedule(name: str, value: Any) -> None:
    """Check that a hyperparameter is not a function of the step.

    **Raises:** `TypeError` that says how to use schedules.
    """
    if callable(value):
        raise TypeError(
            f"{name} must be a number, found the schedule {value!r}; use a scheduler "
            "of optifunc.optim.lr_scheduler with a stateful optimizer, or "
            "optim.Stateful(tx, params) with a transformation that has schedules"
        )


def check_loss_fn(loss_fn: Any, call: str) -> None:
    """Check a function that is compiled; ``call`` says how to pass it.

    **Raises:** `TypeError` if it is not a function, or not hashable.
    """
    check_function("loss_fn", loss_fn, call)
    try:
        hash(loss_fn)
    except TypeError:
        raise TypeError(
            "loss_fn must be hashable, so that its compiled program can be found, "
            f"found a {type(loss_fn).__name__} that is not; pass a function that takes "
            f"the arrays that it holds as arguments: {call}"
        ) from None


def check_is_state_dict(state_dict: Any, instead: str = "") -> None:
    """Check the type of a checkpoint; ``instead`` says where other things belong.

    **Raises:** `TypeError` if it is not a dict.
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            f"state_dict must be a dict, found {type(state_dict).__name__}; give what "
            f"state_dict() returned{instead}"
        )


def entry_with(state_dict: Mapping[Any, Any], keys: Collection[str]) -> str:
    """A hint at the entry of a checkpoint that has ``keys``, if there is one."""
    found = (
        key
        for key, value in state_dict.items()
        if isinstance(value, Mapping) and all(k in value for k in keys)
    )
    key = next(found, None)
    return "" if key is None else f"; did you mean state_dict[{key!r}]?"


def takes_arguments(function: Callable[..., Any]) -> bool:
    """Whether a function cannot be called without arguments."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(
        p.default is p.empty and p.kind not in kinds
        for p in inspect.signature(function).parameters.values()
    )


# torch's choices of an implementation; here there is only one, which is compiled.
IMPLEMENTATION_FLAGS = ("foreach", "fused", "capturable", "differentiable")


def warn_of_flags(groups: Sequence[Mapping[str, Any]]) -> None:
    """Warn if a group chooses an implementation."""
    ignored = [
        flag
        for flag in IMPLEMENTATION_FLAGS
        if any(group.get(flag) for group in groups)
    ]
    if ignored:
        warnings.warn(
            f"{', '.join(ignored)}: accepted and ignored; the whole step is one "
            "compiled program on every device",
            UserWarning,
            stacklevel=4,
        )
