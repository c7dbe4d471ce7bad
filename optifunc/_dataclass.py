"""Frozen dataclasses that are pytrees and values: transformations and schedules."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np

from ._checks import check_kinds
from ._numerics import is_number
from ._suggestions import check_argument_names

C = TypeVar("C", bound=type)
T = TypeVar("T")


def static(default: Any = dataclasses.MISSING, **kwargs: Any) -> Any:
    """A dataclass field that is part of a value's structure, not one of its leaves.

    Flags, names and callables are static: they are compared by equality when JAX
    looks for a compiled program, so a static value must be hashable.

    **Arguments:**

    - ``default``: the field's default, if it has one.
    - ``kwargs``: other arguments of `dataclasses.field`.
    """
    return dataclasses.field(default=default, metadata={"static": True}, **kwargs)


def child(default: Any = dataclasses.MISSING, **kwargs: Any) -> Any:
    """A dataclass field that holds a transformation, or a tuple or dict of them.

    **Arguments:**

    - ``default``: the field's default, if it has one.
    - ``kwargs``: other arguments of `dataclasses.field`.
    """
    return dataclasses.field(default=default, metadata={"child": True}, **kwargs)


def _names_marked(cls: Any, mark: str, value: bool) -> tuple[str, ...]:
    fields = dataclasses.fields(cls)
    return tuple(f.name for f in fields if f.metadata.get(mark, False) is value)


@functools.cache
def data_field_names(cls: Any) -> tuple[str, ...]:
    """Names of the fields of a pytree dataclass that hold leaves."""
    return _names_marked(cls, "static", False)


@functools.cache
def child_field_names(cls: Any) -> tuple[str, ...]:
    """Names of the fields of a pytree dataclass that hold transformations."""
    return _names_marked(cls, "child", True)


@dataclass_transform(
    frozen_default=True, eq_default=False, field_specifiers=(static, child)
)
def pytree_dataclass(cls: C) -> C:
    """Make ``cls`` a frozen dataclass, register it as a pytree, compare by content.

    Two values are equal if they have the same structure and the same numbers and
    arrays. The hash leaves arrays out, so a value that holds arrays is hashable too.
    """
    has_own_init = "__init__" in cls.__dict__
    value_type: Any = dataclasses.dataclass(frozen=True, eq=False)(cls)
    data = data_field_names(value_type)
    meta = _names_marked(value_type, "static", True)
    value_type.__eq__, value_type.__hash__ = _equal, _hash
    value_type.__setattr__ = value_type.__delattr__ = _refuse_change
    if not has_own_init:
        value_type.__init__ = _with_checked_arguments(value_type)

    children_of, structure_of = _getter(data), _getter(meta)

    def flatten(value: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return children_of(value), structure_of(value)

    def flatten_with_keys(value: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        children, structure = flatten(value)
        keys = map(jax.tree_util.GetAttrKey, data)
        return tuple(zip(keys, children, strict=True)), structure

    # JAX rebuilds values from leaves that are not numbers (tracers, axes of a vmap,
    # sentinels), so the arguments are checked where a user constructs a value and
    # not here: `__init__` and `__post_init__` are not run.
    def unflatten(structure: tuple[Any, ...], children: Iterable[Any]) -> Any:
        value = object.__new__(value_type)
        for name, field in zip(data + meta, (*children, *structure), strict=True):
            object.__setattr__(value, name, field)
        return value

    jax.tree_util.register_pytree_with_keys(
        value_type, flatten_with_keys, unflatten, flatten
    )
    result: C = value_type
    return result


def _getter(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """The function that returns a value's fields; every call of a program uses it."""
    if not names:
        return lambda value: ()
    get = operator.attrgetter(*names)
    return get if len(names) > 1 else lambda value: (get(value),)


def _with_checked_arguments(cls: Any) -> Callable[..., None]:
    """The constructor, with errors that name a wrong argument."""
    init = cls.__init__
    known = tuple(inspect.signature(init).parameters)[1:]
    held = child_field_names(cls)
    numbers = tuple(
        f.name
        for f in dataclasses.fields(cls)
        if f.name in data_field_names(cls)
        and f.name not in held
        and is_number(f.default)
        and not isinstance(f.default, bool)
    )
    flags = tuple(f.name for f in dataclasses.fields(cls) if f.type in (bool, "bool"))

    @functools.wraps(init)
    def checked_init(self: Any, *args: Any, **kwargs: Any) -> None:
        check_argument_names(cls.__name__, kwargs, known)
        init(self, *args, **kwargs)
        for name in flags:
            check_flag(name, getattr(self, name))
        for name in numbers:
            check_kinds(name, getattr(self, name))

    return checked_init


def check_flag(name: str, value: Any) -> None:
    """Check that ``value`` is a bool.

    **Raises:** `TypeError` that names the argument.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, found {value!r}")


def _refuse_change(self: Any, name: str, *value: Any) -> None:
    raise dataclasses.FrozenInstanceError(
        f"{name!r} cannot be set: {type(self).__name__} is a value. "
        "replace_hyperparameters(tx, lr=...) returns a transformation with another "
        "number; keep values that are only for logging in a separate variable"
    )


def _equal(self: Any, other: Any) -> Any:
    if self is other:
        return True
    if type(other) is not type(self):
        return NotImplemented
    our_structure: Any
    ours, our_structure = jax.tree.flatten(self)
    theirs, their_structure = jax.tree.flatten(other)
    return our_structure == their_structure and all(map(_is_same, ours, theirs))


def _hash(self: Any) -> int:
    leaves, structure = jax.tree.flatten(self)
    return hash((structure, *(_number(x) if is_number(x) else None for x in leaves)))


def _number(value: Any) -> Any:
    """A Python number, so that equal numbers have equal hashes; never NaN."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if value == value else "nan"


def _is_same(ours: Any, theirs: Any) -> bool:
    """Whether two leaves are the same number, array or object."""
    if ours is theirs:
        return True
    if is_number(ours) or is_number(theirs):
        both = is_number(ours) and is_number(theirs)
        return both and bool(_number(ours) == _number(theirs))
    arrays = (jax.Array, np.ndarray)
    if not (isinstance(ours, arrays) and isinstance(theirs, arrays)):
        return bool(ours == theirs)
    # Whether two traced values are equal is known only at run time.
    if isinstance(ours, jax.core.Tracer) or isinstance(theirs, jax.core.Tracer):
        return False
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    if jnp.issubdtype(ours.dtype, jax.dtypes.prng_key):
        ours, theirs = map(jax.random.key_data, (ours, theirs))
    return np.array_equal(np.asarray(ours), np.asarray(theirs), equal_nan=True)


def replace(value: T, **changes: Any) -> T:
    """A copy of a pytree dataclass with other fields, checked as if newly built.

    Unlike `dataclasses.replace`, this also works for classes that define ``__init__``.
    """
    copy = object.__new__(type(value))
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        new = changes.get(field.name, getattr(value, field.name))
        object.__setattr__(copy, field.name, new)
    check = getattr(copy, "__post_init__", None)
    if check is not None:
        check()
    return copy
