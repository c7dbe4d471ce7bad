"""Transformations from elsewhere, such as optax's: a pair of functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ._dataclass import static
from ._extra import check_required, required_extra
from ._transformation import GradientTransformation, State, transformation
from ._tree import PyTree


def accepted_arguments(
    function: Callable[..., Any], arguments: dict[str, Any]
) -> dict[str, Any]:
    """Those of the named ``arguments`` that a foreign function accepts."""
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return arguments
    return {name: arguments[name] for name in arguments if name in parameters}


@transformation
class foreign(GradientTransformation):
    """A foreign pair of functions, such as an optax transformation.

    Its hyperparameters are hidden in the functions, so it has no leaves.
    """

    init_fn: Callable[..., Any] = static()
    update_fn: Callable[..., Any] = static()

    def declared_extra(self) -> frozenset[str]:
        parameters = list(inspect.signature(self.update_fn).parameters.values())[3:]
        return frozenset(p.name for p in parameters if p.kind is not p.VAR_KEYWORD)

    def init(self, params: PyTree) -> State:
        return self.init_fn(params)

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        # optax's functions are local to the one that the user called.
        name = getattr(self.update_fn, "__qualname__", "update").partition(".")[0]
        check_required(name, required_extra(self.update_fn), extra)
        extra = accepted_arguments(self.update_fn, extra)
        new_updates, new_state = self.update_fn(updates, state, params, **extra)
        return new_updates, new_state
