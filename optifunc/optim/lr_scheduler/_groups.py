"""Reading and writing the ``param_groups`` of an optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ..._transformation import GradientTransformation
from .._optimizer import Optimizer


def check_optimizer(optimizer: Any) -> None:
    """Check that ``optimizer`` is one of ours."""
    if isinstance(optimizer, Optimizer):
        return
    way_out = ""
    if isinstance(optimizer, GradientTransformation):
        way_out = (
            "; it is a transformation, whose learning rate follows a schedule of "
            "optifunc.schedules: adamw(lr=schedule). A scheduler needs a stateful "
            "optimizer, such as optim.AdamW(params)"
        )
    elif isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        way_out = f"; build one first: {optimizer.__name__}(params)"
    raise TypeError(f"{type(optimizer).__name__} is not an Optimizer{way_out}")


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
    """Replace a hyperparameter; an array stays an array with its dtype and sharding."""
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

    **Raises:** `ValueError` if their number differs from that of the groups.
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
