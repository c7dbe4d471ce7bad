"""Frozen dataclasses that are pytrees: the form of transformations and schedules."""

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar

import jax

T = TypeVar("T")


def static(default: Any = dataclasses.MISSING, **kwargs: Any) -> Any:
    """A dataclass field that is part of a value's structure, not one of its leaves.

    Flags, names and callables are static: they are compared by equality when JAX
    looks for a compiled program, so a static value must be hashable.

    **Arguments:** ``default``: the field's default, if it has one; ``kwargs``: what
    `dataclasses.field` takes besides.
    """
    return dataclasses.field(default=default, metadata={"static": True}, **kwargs)


def data_field_names(cls: Any) -> tuple[str, ...]:
    """Names of the fields of a pytree dataclass that hold leaves."""
    return tuple(
        f.name for f in dataclasses.fields(cls) if not f.metadata.get("static", False)
    )


def pytree_dataclass(cls: Any) -> Any:
    """Make ``cls`` a frozen dataclass and register it as a pytree.

    Two values are equal only when they are the same object, so that a value that
    holds arrays can still be hashed.
    """
    cls = dataclasses.dataclass(frozen=True, eq=False)(cls)
    data = data_field_names(cls)
    meta = tuple(f.name for f in dataclasses.fields(cls) if f.name not in data)

    def flatten(value: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return (
            tuple(getattr(value, name) for name in data),
            tuple(getattr(value, name) for name in meta),
        )

    def flatten_with_keys(value: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        children, structure = flatten(value)
        keys = map(jax.tree_util.GetAttrKey, data)
        return tuple(zip(keys, children, strict=True)), structure

    # JAX rebuilds values from leaves that are not numbers (tracers, axes of a vmap,
    # sentinels), so the arguments are checked where a user constructs a value and
    # not here: `__init__` and `__post_init__` are not run.
    def unflatten(structure: tuple[Any, ...], children: Iterable[Any]) -> Any:
        value = object.__new__(cls)
        for name, field in zip(data + meta, (*children, *structure), strict=True):
            object.__setattr__(value, name, field)
        return value

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls


def replace(value: T, **changes: Any) -> T:
    """A copy of a pytree dataclass with other fields, checked as if newly built.

    Unlike `dataclasses.replace` this also serves classes with an ``__init__`` of
    their own.
    """
    copy = object.__new__(type(value))
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        new = changes.get(field.name, getattr(value, field.name))
        object.__setattr__(copy, field.name, new)
    check = getattr(copy, "__post_init__", None)
    if check is not None:
        check()
    return copy
