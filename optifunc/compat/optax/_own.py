"""Names that are not implemented here, taken from optax if it is installed."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from ..._transformation import GradientTransformation as Transformation
from ...interop._optax import to_optax
from ._transformation import GradientTransformationExtraArgs


def optax_module(path: str = "") -> ModuleType:
    """optax, or one of its modules.

    **Raises:** `ImportError` if it is not installed.
    """
    return importlib.import_module(f"optax.{path}" if path else "optax")


def from_optax(name: str, path: str = "") -> Any:
    """An optax name that is not implemented here, for use with those that are.

    **Raises:** `AttributeError` if optax is not installed, or has no such name.
    """
    qualified = f"{path}.{name}" if path else name
    try:
        module = optax_module(path)
    except ImportError as error:
        raise AttributeError(
            f"optifunc.compat.optax does not build {qualified!r}: it is optax's own, "
            "and optax is not installed (pip install optax)"
        ) from error
    try:
        found = getattr(module, name)
    except AttributeError:
        raise AttributeError(f"optax has no {qualified!r}") from None
    return _adapted(found) if inspect.isfunction(found) else found


@functools.cache
def _adapted(function: Any) -> Any:
    """A function of optax that takes and returns the transformations of this module."""

    @functools.wraps(function)
    def adapted(*args: Any, **kwargs: Any) -> Any:
        args = tuple(_to_optax(value) for value in args)
        kwargs = {name: _to_optax(value) for name, value in kwargs.items()}
        return _from_optax(function(*args, **kwargs))

    return adapted


def _to_optax(value: Any) -> Any:
    return to_optax(value) if isinstance(value, Transformation) else value


def _from_optax(value: Any) -> Any:
    own: Any = optax_module().GradientTransformation
    if isinstance(value, own):
        return GradientTransformationExtraArgs(value.init, value.update)
    return value


def names_of(path: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module here, for the names of its optax counterpart."""

    def __getattr__(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return from_optax(name, path)

    return __getattr__
