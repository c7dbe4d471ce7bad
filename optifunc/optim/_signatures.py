"""Hyperparameters by name: those of a class's constructor and of its pure factory."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import numpy as np

from .._checks import check_kinds, which_are_numbers
from .._numerics import is_number
from .._public import load_all
from .._suggestions import check_argument_names
from .._transformation import GradientTransformation
from ._checks import check_no_schedule

# Types of values that can change in place.
CHANGEABLE = (np.ndarray, list)
# Every class of optimizers with a constructor whose file is loaded.
CLASSES: list[type] = []


@functools.cache
def hyperparameters_of(cls: Any) -> Mapping[str, Any]:
    """The hyperparameters of a class with their defaults, from its constructor."""
    parameters = list(inspect.signature(cls).parameters.values())
    return {
        p.name: p.default
        for p in parameters
        if p.default is not inspect.Parameter.empty
    }


def nearest_class(names: Collection[str]) -> str:
    """The name of the class whose hyperparameters are most like ``names``."""
    load_all("optifunc.optim")

    def rank(cls: type) -> tuple[int, str]:
        return len(set(hyperparameters_of(cls)) ^ set(names)), cls.__name__

    return min(CLASSES, key=rank).__name__


def checked_constructor(init: Callable[..., None]) -> Callable[..., None]:
    """A constructor with errors for unknown arguments and wrong kinds of numbers."""
    parameters = inspect.signature(init).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return init
    known = [p.name for p in parameters][1:]

    @functools.wraps(init)
    def checked_init(self: Any, *args: Any, **kwargs: Any) -> None:
        check_argument_names(type(self).__name__, kwargs, known)
        given = {**dict(zip(known, args, strict=False)), **kwargs}
        are_numbers = which_are_numbers(init)
        for name, value in given.items():
            if are_numbers[name]:
                check_kinds(name, value)
        init(self, *args, **kwargs)

    return checked_init


def constructor(
    factory: Callable[..., Any], base: Callable[..., None]
) -> Callable[..., None]:
    """The constructor of a class with the arguments of ``factory``.

    **Arguments:**

    - ``factory``: a function that returns a transformation.
    - ``base``: the constructor that takes the parameters and a dict of the arguments.
    """
    signature = inspect.signature(factory)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    own = [
        inspect.Parameter("self", kind),
        inspect.Parameter("params", kind, annotation="Any"),
    ]
    whole = signature.replace(
        parameters=[*own, *signature.parameters.values()], return_annotation="None"
    )

    def __init__(self: Any, params: Any, *args: Any, **kwargs: Any) -> None:
        values = signature.bind(*args, **kwargs)
        values.apply_defaults()
        # The factory rejects values out of range before anything is created.
        factory(**values.arguments)
        base(self, params, dict(values.arguments))

    __init__.__signature__ = whole  # type: ignore[attr-defined]
    return __init__


def bound(
    factory: Callable[..., GradientTransformation], values: Mapping[str, Any]
) -> GradientTransformation:
    """The transformation for a group's values, which ``factory`` takes by name."""
    own = {}
    for name, is_a_number in which_are_numbers(factory).items():
        if name in values:
            value = values[name]
            if is_a_number:
                check_no_schedule(name, value)
                value = number(value, name)
            own[name] = value
    return factory(**own)


def number(value: Any, name: str = "") -> Any:
    """A hyperparameter in one form, so that no change of form triggers recompilation.

    The learning rate is an array: schedulers may move it anywhere, even below 0 by
    rounding, and no structure depends on it.
    """
    if isinstance(value, list | tuple):
        return tuple(map(number, value))
    if isinstance(value, np.ndarray | jax.Array):
        return value.reshape(()) if value.size == 1 else value
    if is_number(value) and not isinstance(value, bool):
        return np.asarray(float(value)) if name == "lr" else float(value)
    return value


def given(arguments: Mapping[str, Any], torch_order: str = "") -> dict[str, Any]:
    """The hyperparameters of a constructor, in the order of torch's groups.

    **Arguments:**

    - ``arguments``: the ``locals()`` of the constructor.
    - ``torch_order``: names that torch lists in a different order than the signature,
      in torch's order.
    """
    others = ("self", "params", "__class__")
    own = {name: x for name, x in arguments.items() if name not in others}
    for name, value in own.items():
        check_no_schedule(name, value)
    moved = torch_order.split()
    start = min((list(own).index(name) for name in moved), default=0)
    rest = [name for name in own if name not in moved]
    return {name: own[name] for name in [*rest[:start], *moved, *rest[start:]]}


def values_of(group: Mapping[str, Any]) -> dict[str, Any]:
    """A group without its parameters."""
    return {key: value for key, value in group.items() if key != "params"}


def has_values(group: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether a group has exactly ``values`` besides its parameters.

    It has not if one of them may have been changed in place.
    """
    for key, value in values.items():
        if group.get(key, values) is not value:
            return False
        if isinstance(value, CHANGEABLE) and key != "param_names":
            return False
    return len(group) == len(values) + 1
