"""How all functions that build optimizers handle their arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from importlib import import_module
from typing import ParamSpec, TypeVar

from .._checks import check_kinds, which_are_numbers
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

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        check_argument_names(function.__name__, kwargs, named)
        given = {**dict(zip(parameters, args, strict=False)), **kwargs}
        for name in given.keys() & flags:
            check_flag(name, given[name])
        are_numbers = which_are_numbers(function)
        for name, value in given.items():
            if are_numbers[name]:
                check_kinds(name, value)
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
