"""Checks of the arguments that users pass."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Mapping
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from ._annotations import argument_types
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
    """Check a hyperparameter that a user passes.

    Numbers must lie in the given range, which excludes NaN. Arrays, traced values and
    schedules are not checked.

    **Raises:** `ValueError` for a number out of range, `TypeError` for anything but a
    number, an array or a schedule; both name the argument and the value found.
    """
    check_kind(name, value)
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


def check_kind(name: str, value: Any) -> None:
    """Check that a hyperparameter is neither a bool nor a tensor of torch.

    **Raises:** `TypeError` that names the argument.
    """
    if is_tensor(value):
        raise TypeError(
            f"{name} must be a number, an array or a schedule, found a torch tensor; "
            f"pass float({name})"
        )
    is_bool = isinstance(value, bool | np.bool_) or (
        getattr(value, "dtype", None) == np.bool_ and np.shape(value) == ()
    )
    if is_bool:
        raise TypeError(
            f"{name} must be a number, found {shown(value)}; pass flags by name, such "
            "as nesterov=True"
        )


def check_kinds(name: str, value: Any) -> None:
    """`check_kind` for a hyperparameter or a tuple of them."""
    check_kind(name, value)
    if isinstance(value, tuple | list):
        for i, item in enumerate(value):
            check_kind(f"{name}[{i}]", item)


def is_tensor(value: Any) -> bool:
    """Whether ``value`` is a torch tensor, without importing torch."""
    is_torchs = any(
        cls.__module__.partition(".")[0] == "torch" for cls in type(value).__mro__
    )
    return is_torchs and hasattr(value, "detach")


@functools.cache
def which_are_numbers(function: Callable[..., Any]) -> Mapping[str, bool]:
    """For each argument of a function, whether it is a number, or a tuple of them.

    Its annotation allows floats; without an annotation that says so, its default is a
    number. Counts, flags, choices and masks are none: they are part of the program.
    """
    types = argument_types(function)
    parameters = inspect.signature(function).parameters
    return {
        name: _allows_floats(types[name])
        or (types[name] is Any and is_number(p.default) and type(p.default) is not bool)
        for name, p in parameters.items()
    }


def _allows_floats(annotation: Any) -> bool:
    parts = get_args(annotation)
    if bool in (annotation, *parts):
        return False
    return annotation is float or any(map(_allows_floats, parts))


def check_lr(lr: Any) -> None:
    """Check a learning rate, which is not negative.

    **Raises:** `ValueError` that says how to climb.
    """
    try:
        check_range("lr", lr, at_least=0)
    except ValueError as error:
        if lr < 0:
            raise ValueError(
                f"{error}; to climb, give the optimizer maximize=True"
            ) from None
        raise


def check_betas(betas: Any) -> None:
    """Check a pair of decay rates, each in [0, 1)."""
    check_pair("betas", betas)
    for i, beta in enumerate(betas):
        check_range(f"betas[{i}]", beta, at_least=0, below=1)


def check_decay_rates(name: str, values: Any, count: int | None = None) -> None:
    """Check decay rates, each in [0, 1): ``count`` of them, or any number above 0."""
    is_vector = len(getattr(values, "shape", (0,))) == 1 and hasattr(values, "__len__")
    if isinstance(values, str) or not is_vector or not len(values):
        raise ValueError(f"{name} must be a tuple of numbers, found {values!r}")
    if count is not None and len(values) != count:
        raise ValueError(f"{name} must be {count} numbers, found {values!r}")
    for i, value in enumerate(values):
        check_range(f"{name}[{i}]", value, at_least=0, below=1)


def check_pair(name: str, value: Any) -> None:
    """Check that ``value`` is a pair: a tuple or list of two, or an array of two."""
    check_length(name, value, 2)


def check_length(name: str, value: Any, length: int) -> None:
    """Check that ``value`` is a tuple, a list or an array of ``length`` numbers."""
    if (
        isinstance(value, str)
        or not (hasattr(value, "__len__") or hasattr(value, "shape"))
        or len(value) != length
    ):
        wanted = "a pair" if length == 2 else f"{length} numbers"
        raise ValueError(f"{name} must be {wanted}, found {value!r}")


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


def check_function(name: str, value: Any, call: str = "") -> None:
    """Check that ``value`` is a function.

    **Arguments:**

    - ``name``, ``value``: of the argument.
    - ``call``: how to pass a function where users may pass what it returns.

    **Raises:** `TypeError` that names the argument.
    """
    if callable(value):
        return
    way_out = f"; give the function, not its value: {call}" if call else ""
    raise TypeError(f"{name} must be a function, found {shown(value)}{way_out}")


def shown(value: Any) -> str:
    """What to call a value in a message: for an array, its shape and dtype."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array of shape {tuple(value.shape)} and {value.dtype}"
    text = repr(value)
    return text if len(text) <= 80 else f"a {type(value).__name__}"


def checked_float(name: str, dtype: Any) -> Any:
    """``dtype`` as a NumPy dtype, if it is a real float; None stays None.

    **Raises:** `ValueError` for another kind of dtype.
    """
    if dtype is None:
        return None
    if not jnp.issubdtype(np.dtype(dtype), jnp.floating):
        raise ValueError(f"{name} must be a float, found {np.dtype(dtype)}")
    return np.dtype(dtype)


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Check that ``value`` is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, found {value!r}")


def check_known_range(name: str, value: Any, **bounds: float | None) -> None:
    """`check_range`, also for an array or a schedule whose value is known now."""
    check_range(name, value, **bounds)
    known = known_value(value)
    if known is not None:
        check_range(name, known, **bounds)


def check_whole(name: str, value: Any, *, at_least: int) -> None:
    """Check a count that may be an array or a schedule, if its value is known now.

    **Raises:** `TypeError` if it is not a whole number, `ValueError` if it is too
    small.
    """
    if is_number(value):
        check_integer(name, value, at_least=at_least)
    check_range(name, value)
    known = known_value(value)
    if known is None:
        return
    if known != known // 1:
        raise TypeError(f"{name} must be a whole number, found {known!r}")
    if known < at_least:
        raise ValueError(f"{name} must be at least {at_least}, found {known!r}")


def check_loss(value: Any) -> None:
    """Check the extra argument ``value``."""
    if np.shape(value) != ():
        raise ValueError(
            "value must be a scalar, the loss of this update, found an array of "
            f"shape {np.shape(value)}"
        )


def known_value(value: Any) -> float | None:
    """A hyperparameter as a Python number; for a schedule, its first value.

    None for an array with axes (a sweep) and for a value that is known only at run
    time.
    """
    if is_number(value):
        return float(value)
    if callable(value):
        # A function of the step may use the methods of an array.
        value = value(jnp.zeros((), jnp.int32))
    if isinstance(value, jax.core.Tracer) or np.ndim(value):
        return None
    if isinstance(value, jax.Array) and not value.is_fully_addressable:
        return None
    return float(value)
