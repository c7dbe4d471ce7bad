"""Checks of arguments, where a user gives them."""

import operator
from typing import Any

import numpy as np

from ._numerics import is_number


def check_range(
    name: str,
    value: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> None:
    """Check a hyperparameter where a user gives it.

    Numbers must lie in the given range, which excludes NaN. Arrays, traced values and
    schedules are let through.

    **Raises:** `ValueError` for a number out of range, `TypeError` for what is no
    number, array or schedule; both name the argument and the value found.
    """
    if not is_number(value):
        if isinstance(value, str) or not (callable(value) or hasattr(value, "dtype")):
            raise TypeError(
                f"{name} must be a number, an array or a schedule, found {value!r}"
            )
        return
    bounds = (
        ("at least", at_least, operator.ge),
        ("above", above, operator.gt),
        ("at most", at_most, operator.le),
        ("below", below, operator.lt),
    )
    given = [(word, b, holds) for word, b, holds in bounds if b is not None]
    if not all(holds(value, bound) for _, bound, holds in given) or value != value:
        expected = " and ".join(f"{word} {bound}" for word, bound, _ in given)
        raise ValueError(f"{name} must be {expected or 'a number'}, found {value!r}")


def check_betas(betas: Any) -> None:
    """Check a pair of decay rates, each in [0, 1)."""
    check_pair("betas", betas)
    for i, beta in enumerate(betas):
        check_range(f"betas[{i}]", beta, at_least=0, below=1)


def check_pair(name: str, value: Any) -> None:
    """Check that ``value`` is a pair: a tuple or list of two, or an array of two."""
    if (
        isinstance(value, str)
        or not (hasattr(value, "__len__") or hasattr(value, "shape"))
        or len(value) != 2
    ):
        raise ValueError(f"{name} must be a pair, found {value!r}")


def check_integer(
    name: str, value: Any, *, at_least: int, at_most: int | None = None
) -> None:
    """Check a static count."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, found {value!r}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least}, found {value!r}")
    if at_most is not None and value > at_most:
        raise ValueError(f"{name} must be at most {at_most}, found {value!r}")


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Check that ``value`` is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, found {value!r}")
