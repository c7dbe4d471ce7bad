"""How all functions that build optimizers handle their arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from importlib import import_module
from typing import ParamSpec, TypeVar

from .._annotations import argument_types
from .._checks import check_kinds, takes_numbers
from .._dataclass import check_flag
from .._suggestions import check_argument_names
from .._transformation import GradientTransformation

P = ParamSpec("P")
T = TypeVar("T")


def checks_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """``function``, with errors that name a wrong argument.

    An argument is a flag if it is annotated as ``bool``, and a number if its annotation
    allows floats.
    """
    parameters = inspect.signature(function).parameters
    named = [n for n, p in parameters.items() if p.kind is not p.VAR_POSITIONAL]
    flags = [name for name in named if parameters[name].annotation in (bool, "bool")]

    @functools.cache
    def numbers() -> list[str]:
        types = argument_types(function)
        return [name for name in named if takes_numbers(types[name])]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        check_argument_names(function.__name__, kwargs, named)
        given = {**dict(zip(parameters, args, strict=False)), **kwargs}
        for name in given.keys() & flags:
            check_flag(name, given[name])
        for name in numbers():
            if name in given:
                check_kinds(name, given[name])
        return function(*args, **kwargs)

    return checked


def factory(
    function: Callable[P, GradientTransformation],
) -> Callable[P, GradientTransformation]:
    """An optimizer's factory: its arguments are checked."""
    return checks_arguments(function)


def all_factories() -> dict[str, Callable[..., GradientTransformation]]:
    """The functions that build optimizers, by name, all loaded."""
    package = import_module(__package__)
    offered = {name: getattr(package, name) for name in package.__all__}
    # `assemble` is what they are made with.
    return {
        name: value
        for name, value in offered.items()
        if inspect.isfunction(value) and name != "assemble"
    }
