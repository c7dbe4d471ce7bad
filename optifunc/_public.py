"""What a package offers, and that each name is loaded when it is first used."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from ._suggestions import unknown_attribute


class Offered(NamedTuple):
    """What makes a package lazy, to be bound in it to the names of the same kind."""

    all: list[str]  # `__all__`
    dir: Callable[[], list[str]]  # `__dir__`: no internals for tab completion
    getattr: Callable[[str], object]  # `__getattr__`, called for what is not loaded


def offered(package: str) -> Offered:
    """The names that a package imports for type checkers, each loaded at first use.

    A package has them in one block, which is not run but read::

        if TYPE_CHECKING:
            from ._adam import adam as adam
        else:
            __all__, __dir__, __getattr__ = offered(__name__)

    Hundreds of files would take longer to load than JAX itself. Type checkers, the API
    pages and readers follow the imports as ever.

    **Raises:** `ImportError` if the package's source is not there to be read.
    """
    module = sys.modules[package]
    origins = _origins(package)

    def listed() -> list[str]:
        loaded = (n for n in vars(module) if n[0] != "_" or n.startswith("__"))
        return sorted({*origins, *loaded})

    def load(name: str) -> object:
        if name not in origins:
            raise unknown_attribute(package, name, origins)
        origin = import_module(origins[name], package)
        is_module = origin.__name__ == f"{package}.{name}"
        value = origin if is_module else getattr(origin, name)
        # The next use finds it without coming here.
        setattr(module, name, value)
        return value

    return Offered(sorted(origins), listed, load)


def load_all(package: str) -> None:
    """Load every name that a package offers: its files fill some lists."""
    module = import_module(package)
    for name in module.__all__:
        getattr(module, name)


def _origins(package: str) -> dict[str, str]:
    """For each name that a package offers the module, relative to it, that has it."""
    try:
        source = inspect.getsource(sys.modules[package])
    except OSError as error:
        raise ImportError(
            f"{package} finds its names in its source, found no {package} as a .py "
            "file; install it with its source files",
            name=package,
        ) from error
    found: dict[str, str] = {}
    for block in ast.parse(source).body:
        if isinstance(block, ast.If):
            for statement in block.body:
                if isinstance(statement, ast.ImportFrom):
                    found |= _imported(statement, package)
    return found


def _imported(statement: ast.ImportFrom, package: str) -> dict[str, str]:
    origin = "." * statement.level + (statement.module or "")
    names = [alias.name for alias in statement.names]
    if names == ["*"]:
        names = import_module(origin, package).__all__
    # `from . import optim` has a module, any other import what is in one.
    return {name: origin if statement.module else f".{name}" for name in names}
