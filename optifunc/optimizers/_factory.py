"""How all functions that build optimizers handle their arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .._dataclass import check_flag
from .._suggestions import check_argument_names
from .._transformation import GradientTransformation

P = ParamSpec("P")
T = TypeVar("T")


def checks_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """``function``, with errors that name an unknown argument or a flag.

    An argument is a flag if it is annotated as ``bool``.
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
        return function(*args, **kwargs)

    return checked


def factory(
    function: Callable[P, GradientTransformation],
) -> Callable[P, GradientTransformation]:
    """An optimizer's factory: its arguments are checked."""
    return checks_arguments(function)
