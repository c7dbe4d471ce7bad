"""Annotations at run time, where they are the text that was written."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, get_type_hints


def evaluated(annotation: Any, scope: Mapping[str, Any]) -> Any:
    """The type that an annotation stands for; it may be written as a string.

    **Arguments:**

    - ``annotation``: a type, or a string that names one.
    - ``scope``: the names that it may use.

    **Returns:** the type; None if it uses a name that is imported for type checkers
    alone.
    """
    holder = SimpleNamespace(__annotations__={"found": annotation})
    try:
        return get_type_hints(holder, dict(scope), include_extras=True)["found"]
    except NameError:
        return None


def names_around(value: Any) -> Mapping[str, Any]:
    """The names that the annotations of a function or class may use."""
    value = inspect.unwrap(value)
    if hasattr(value, "__globals__"):
        found: Mapping[str, Any] = value.__globals__
        return found
    # A class that `exec` has made is in no module.
    module = sys.modules.get(getattr(value, "__module__", ""))
    return {} if module is None else vars(module)


def argument_types(function: Callable[..., Any]) -> dict[str, Any]:
    """The type of each argument of a function."""
    scope = names_around(function)
    parameters = inspect.signature(function).parameters
    return {name: evaluated(p.annotation, scope) for name, p in parameters.items()}


def return_type(function: Callable[..., Any]) -> Any:
    """The type that a function says it returns."""
    annotations = inspect.get_annotations(function)
    return evaluated(annotations.get("return"), names_around(function))
