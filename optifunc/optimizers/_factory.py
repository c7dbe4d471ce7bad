"""What all functions that build optimizers do with their arguments."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

from .._checks import check_kinds, takes_numbers
from .._dataclass import check_flag
from .._suggestions import check_argument_names
from .._transformation import GradientTransformation

P = ParamSpec("P")
T = TypeVar("T")

_factories: dict[str, Callable[..., GradientTransformation]] = {}
# Every optimizer's factory, by name.
FACTORIES: Mapping[str, Callable[..., GradientTransformation]] = _factories


def checks_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """``function``, with errors that name a wrong argument.

    An argument is a flag if it is annotated as ``bool``, and a number if its annotation
    allows floats.
    """
    parameters = inspect.signature(function).parameters
    named = [n for n, p in parameters.items() if p.kind is not p.VAR_POSITIONAL]
    numbers = [n for n in named if takes_numbers(parameters[n].annotation)]
    flags = [name for name in named if parameters[name].annotation is bool]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        check_argument_names(function.__name__, kwargs, named)
        given = {**dict(zip(parameters, args, strict=False)), **kwargs}
        for name in given.keys() & flags:
            check_flag(name, given[name])
        for name in [name for name in given if name in numbers]:
            check_kinds(name, given[name])
        return function(*args, **kwargs)

    return checked


def factory(
    function: Callable[P, GradientTransformation],
) -> Callable[P, GradientTransformation]:
    """An optimizer's factory: its arguments are checked, and `FACTORIES` lists it."""
    checked = checks_arguments(function)
    _factories[function.__name__] = checked
    return checked
