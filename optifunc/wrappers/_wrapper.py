"""The base class of transformations that hold others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._dataclass import child_field_names
from .._transformation import GradientTransformation
from ._scheduled import as_transformation


class Wrapper(GradientTransformation):
    """Base class of transformations that hold others in fields declared with `child`.

    ::

        @of.transformation
        class twice(of.Wrapper):
            inner: of.GradientTransformation = of.child()

            def init(self, params): ...
            def update(self, updates, state, params=None, **extra): ...

    A child may be a transformation of this library or of optax, and its hyperparameters
    may be schedules. Its state is the field of the same name in this transformation's
    state (see `GradientTransformation.state_of`), and its hyperparameters can be read
    and replaced by name. A subclass that defines ``__post_init__`` must call this one
    first.
    """

    def __post_init__(self) -> None:
        for name in child_field_names(type(self)):
            held = getattr(self, name)
            object.__setattr__(self, name, _adopted(held))


def transformations_in(tx: GradientTransformation) -> Iterator[GradientTransformation]:
    """All transformations inside ``tx``."""
    for child in tx.children():
        yield child.transformation
        yield from transformations_in(child.transformation)


def _adopted(held: Any) -> Any:
    if isinstance(held, dict):
        return type(held)((key, as_transformation(tx)) for key, tx in held.items())
    if type(held) is tuple:
        return tuple(map(as_transformation, held))
    return as_transformation(held)
