"""Fused functions."""

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import jax

from . import _compiler as compiler
from ._primitive import call

F = TypeVar("F", bound=Callable[..., Any])


def fuse(function: F) -> F:
    """x."""

    def fused(*args: Any, **kwargs: Any) -> Any:
        return fused_call(function, *args, **kwargs)

    return functools.wraps(function)(jax.jit(fused, inline=True))


def fused_call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """``function(*args, **kwargs)``, fused; the arguments are trees of arrays."""
    leaves, structure = jax.tree.flatten((args, kwargs))
    shape: Any = None

    def of_leaves(*leaves: Any) -> list[Any]:
        nonlocal shape
        args, kwargs = structure.unflatten(leaves)
        results, shape = jax.tree.flatten(function(*args, **kwargs))
        return results

    results = call(of_leaves, *leaves)
    return shape.unflatten(results)
