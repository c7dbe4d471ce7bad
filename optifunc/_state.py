"""Which part of a state belongs to which parameter, and what is shared.

A field of a state declares its role by its type::

    class ScaleByAdamState(NamedTuple):
        step: Shared
        exp_avg: PerParameter
        exp_avg_sq: NonNegative

A field without a role holds another transformation's state and is traversed. States of
other libraries declare nothing. In these, a subtree with the structure and the shapes
of the parameters is per parameter, and the rest is shared.
"""

from __future__ import annotations

import abc
import dataclasses
import enum
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import (
    Annotated,
    Any,
    NamedTuple,
    TypeAlias,
    TypeVar,
    get_args,
)

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ._annotations import evaluated, names_around
from ._tree import PyTree, path_name

Path: TypeAlias = tuple[Any, ...]
T = TypeVar("T")


class Role(enum.Enum):
    """What a field of a state holds."""

    SHARED = "common to all parameters"
    PER_PARAMETER = "an array or a small tree of arrays for each parameter"
    NON_NEGATIVE = "per parameter, and never below 0"
    RESTARTING = "per parameter, and may start at its initial value in mid-run"
    PER_AXIS = "for each parameter a list of arrays that go with its axes"
    CONCATENATED = "along the last axis all numbers of all parameters, leaf after leaf"

    @property
    def is_per_parameter(self) -> bool:
        """Whether the field has a part for each parameter."""
        return self not in (Role.SHARED, Role.CONCATENATED)


Shared: TypeAlias = Annotated[Array, Role.SHARED]
"""A field of a state that all parameters share, such as a step count."""
PerParameter: TypeAlias = Annotated[PyTree, Role.PER_PARAMETER]
"""A field that holds an array or a small tree of arrays for each parameter."""
NonNegative: TypeAlias = Annotated[PyTree, Role.NON_NEGATIVE]
"""`PerParameter`, and never below 0, such as a mean of squares."""
Restarting: TypeAlias = Annotated[PyTree, Role.RESTARTING]
"""`PerParameter`, and may be reset to its initial value mid-run, such as a buffer."""
PerAxis: TypeAlias = Annotated[PyTree, Role.PER_AXIS]
"""`PerParameter`, but not sharded like the parameter, even if it has its shape."""
Concatenated: TypeAlias = Annotated[Array, Role.CONCATENATED]
"""A field that holds all numbers of all parameters along its last axis."""


@dataclasses.dataclass(frozen=True)
class Keeps:
    """Which hyperparameter of a transformation is the decay rate of an average.

    ::

        exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]

    An average with a decay rate near 1 stops moving in a narrow dtype, and the user
    gets a warning (`StalledStateWarning`).

    **Fields:**

    - ``attribute``: the name of the hyperparameter.
    - ``index``: the index, if it is a tuple.
    """

    attribute: str
    index: int | None = None


class Field(NamedTuple):
    """A place in a state and its role."""

    path: Path
    role: Role

    @property
    def name(self) -> str:
        """The field's own name, which is torch's key."""
        return _key_name(self.path[-1]) if self.path else ""


class RelaidState(abc.ABC):
    """State of a wrapper that shows its inner transformation other trees.

    The inner state's per-parameter fields match those trees. `spread` and
    `gathered` convert between them and the parameters.
    """

    @abc.abstractmethod
    def spread(self) -> PyTree:
        """The same state with each inner field distributed over the parameters."""

    @abc.abstractmethod
    def gathered(self, spread: PyTree) -> RelaidState:
        """The inverse of `spread`."""


@cache
def declared_roles(state_type: type) -> Mapping[str, Role | None]:
    """The role of each field of a state's type; empty if it declares none."""
    if not hasattr(state_type, "_fields"):
        return {}
    hints = _hints(state_type)
    roles = {name: _found_in(hints[name], Role) for name in state_type._fields}
    return roles if any(roles.values()) else {}


@cache
def declared_averages(state_type: type) -> Mapping[str, Keeps]:
    """The fields of a state's type that are averages; empty if it declares none."""
    if not hasattr(state_type, "_fields"):
        return {}
    found = {name: _found_in(hint, Keeps) for name, hint in _hints(state_type).items()}
    return {name: keeps for name, keeps in found.items() if keeps is not None}


def _hints(state_type: Any) -> dict[str, Any]:
    """The types of a state's fields."""
    annotations = inspect.get_annotations(state_type)
    scope = names_around(state_type)
    return {
        name: evaluated(annotations.get(name), scope) for name in state_type._fields
    }


def _found_in(hint: Any, kind: type[T]) -> T | None:
    """What an annotation such as ``NonNegative | None`` contains of a given kind."""
    if isinstance(hint, kind):
        return hint
    parts = (_found_in(part, kind) for part in get_args(hint))
    return next((part for part in parts if part is not None), None)


def map_state(
    function: Callable[[Field, Any], Any], state: PyTree, params: PyTree
) -> PyTree:
    """``state`` with ``function(field, value)`` for the value of each field.

    **Arguments:**

    - ``function``: receives a field with a role and its value. For a field that is per
      parameter, the value is a tree with the structure of the parameters, with None for
      parameters that it does not cover.
    - ``state``: a state of a transformation, from this library or another.
    - ``params``: the parameters, or a tree of their shapes.
    """
    return _map_node(function, state, params, ())


def _map_node(
    function: Callable[[Field, Any], Any], node: Any, params: PyTree, path: Path
) -> Any:
    if isinstance(node, RelaidState):
        return node.gathered(_map_node(function, node.spread(), params, path))
    kind: Any = type(node)
    roles = declared_roles(kind)
    if not roles and _is_like(node, params):
        return function(Field(path, Role.PER_PARAMETER), node)
    structure: Any
    pairs, structure = jax.tree_util.tree_flatten_with_path(
        node, is_leaf=lambda x: x is not node
    )
    if not roles and structure == _LEAF:
        return function(Field(path, Role.SHARED), node)
    if not roles:
        return structure.unflatten(
            _map_node(function, part, params, path + key) for key, part in pairs
        )
    changed = {}
    for name, role in roles.items():
        part, key = getattr(node, name), (*path, jax.tree_util.GetAttrKey(name))
        if role is None:
            changed[name] = _map_node(function, part, params, key)
        elif part is not None:
            changed[name] = function(Field(key, role), part)
    return node._replace(**changed)


_LEAF: Any = jax.tree.structure(0)


def _is_like(node: Any, params: PyTree) -> bool:
    """Whether ``node`` holds an array of its shape, or nothing, for each parameter."""
    if node is None:
        return False
    structure: Any = jax.tree.structure(params)
    try:
        parts = structure.flatten_up_to(node)
    except (ValueError, TypeError):
        return False
    leaves = jax.tree.leaves(params)
    pairs = [(x, p) for x, p in zip(parts, leaves, strict=True) if not _is_empty(x)]
    return bool(pairs) and all(_is_part(part, param) for part, param in pairs)


def _is_empty(part: Any) -> bool:
    return not jax.tree.leaves(part)


def _is_part(part: Any, param: Any) -> bool:
    if not hasattr(part, "dtype") or np.shape(part) != np.shape(param):
        return False
    # The parameters may be one scalar, and a count is a scalar too.
    is_count = np.ndim(part) == 0 and jnp.issubdtype(part.dtype, jnp.integer)
    return not is_count


def state_fields(state: PyTree, params: PyTree) -> list[tuple[Field, Any]]:
    """The fields of ``state``, each with its value; see `map_state`."""
    found: list[tuple[Field, Any]] = []

    def record(field: Field, value: Any) -> Any:
        found.append((field, value))
        return value

    map_state(record, state, params)
    return found


def parts_of(value: PyTree, params: PyTree) -> list[Any]:
    """The part of a per-parameter field for each leaf of ``params``."""
    structure: Any = jax.tree.structure(params)
    parts: list[Any] = structure.flatten_up_to(value)
    return parts


def find_in_state(state: PyTree, what: str | type) -> Any:
    """The one part of a state with a given name or type, at any depth.

    ::

        of.find_in_state(state, "exp_avg")
        of.find_in_state(state, of.ScaleByAdamState).step

    It also works with optax's states.

    **Arguments:**

    - ``state``: the state of any composition of transformations.
    - ``what``: the name of a field or of a dict's key, which may be qualified by any of
      the names before it (``"decoder.exp_avg"``); or the type of a state.

    **Returns:** the part of the state.

    **Raises:** `KeyError` if nothing is found or if there are several matches. In that
    case, it lists their paths, which can be used as names. `find_all_in_state` returns
    all of them.
    """
    found = find_all_in_state(state, what)
    wanted = what if isinstance(what, str) else what.__name__
    if len(found) == 1:
        return next(iter(found.values()))
    if wanted in found:
        return found[wanted]
    if found:
        raise KeyError(
            f"{wanted!r} occurs {len(found)} times in the state; choose one of "
            f"{sorted(found)}, or call find_all_in_state"
        )
    known = {_key_name(path[-1]) for path, _ in _nodes(state, ()) if path}
    raise KeyError(f"{wanted!r} does not occur in the state; known: {sorted(known)}")


def find_all_in_state(state: PyTree, what: str | type) -> dict[str, Any]:
    """All parts of a state with a given name or type, by their dotted paths.

    **Arguments:**

    - ``state``: the state of any composition of transformations.
    - ``what``: as in `find_in_state`.

    **Returns:** a dict from paths (``"1.exp_avg"``) to parts of the state.
    """
    if isinstance(what, type):
        return {
            path_name(p): node for p, node in _nodes(state, ()) if type(node) is what
        }
    wanted = what.split(".")
    return {
        path_name(path): node
        for path, node in _nodes(state, ())
        if _has_name(path, wanted)
    }


def _has_name(path: Path, wanted: list[str]) -> bool:
    """Whether ``wanted`` ends the path, after any of the earlier names in order."""
    names = list(map(_key_name, path))
    if not names or names[-1] != wanted[-1]:
        return False
    before = iter(names[:-1])
    return all(name in before for name in wanted[:-1])


def _nodes(node: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every node of a tree with its path, parents first."""
    yield path, node
    structure: Any
    pairs, structure = jax.tree_util.tree_flatten_with_path(
        node, is_leaf=lambda x: x is not node
    )
    if structure != _LEAF:
        for key, part in pairs:
            yield from _nodes(part, path + key)


def _key_name(key: Any) -> str:
    return path_name((key,))
