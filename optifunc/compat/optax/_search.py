"""Reading and writing states by the names of their fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

from ..._tree import PyTree

Filter = Callable[[Any, Any], bool]


class NamedTupleKey(NamedTuple):
    """A key in a path: a field of a named tuple."""

    tuple_name: str
    name: str

    def __str__(self) -> str:
        return f"{self.tuple_name}.{self.name}"


def _is_named_tuple(node: Any) -> bool:
    return isinstance(node, tuple) and hasattr(node, "_fields")


def _items(node: Any) -> list[tuple[Any, str | None, Any]]:
    """The children of a node, with their keys and their names if they have any."""
    if _is_named_tuple(node):
        kind = type(node).__name__
        return [
            (NamedTupleKey(kind, name), name, getattr(node, name))
            for name in node._fields
        ]
    if isinstance(node, dict):
        return [(jax.tree_util.DictKey(key), key, node[key]) for key in node]
    structure: Any
    pairs, structure = jax.tree_util.tree_flatten_with_path(
        node, is_leaf=lambda x: x is not node
    )
    if structure == jax.tree.structure(0):
        return []
    return [(path[0], None, value) for path, value in pairs]


def _found(
    node: Any, key: Any, path: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if _is_named_tuple(node) and type(node).__name__ == key:
        yield path, node
    for step, name, value in _items(node):
        if name == key and name is not None:
            yield (*path, step), value
        yield from _found(value, key, (*path, step))


def get_all_with_path(
    tree: PyTree, key: Any, filtering: Filter | None = None
) -> list[tuple[Any, Any]]:
    """All fields, dict entries and named tuples with a given name, with their paths."""
    found = list(_found(tree, key))
    return [x for x in found if filtering is None or filtering(*x)]


def get(
    tree: PyTree, key: Any, default: Any | None = None, filtering: Filter | None = None
) -> Any:
    """The only field, dict entry or named tuple with a given name."""
    found = get_all_with_path(tree, key, filtering)
    if len(found) > 1:
        paths = [".".join(map(str, path)) for path, _ in found]
        raise KeyError(f"{key!r} occurs {len(found)} times: {paths}; give filtering")
    return found[0][1] if found else default


def set(tree: PyTree, filtering: Filter | None = None, /, **kwargs: Any) -> PyTree:
    """A tree with new values for the fields with given names."""
    for key in kwargs:
        if not get_all_with_path(tree, key, filtering):
            raise KeyError(f"{key!r} does not occur in the tree")

    def chosen(key: Any, path: tuple[Any, ...], value: Any) -> bool:
        return key in kwargs and (filtering is None or filtering(path, value))

    def changed(node: Any, path: tuple[Any, ...]) -> Any:
        if _is_named_tuple(node) and chosen(type(node).__name__, path, node):
            return kwargs[type(node).__name__]
        items = _items(node)
        new = [
            kwargs[name]
            if name is not None and chosen(name, (*path, step), value)
            else changed(value, (*path, step))
            for step, name, value in items
        ]
        if not items:
            return node
        if _is_named_tuple(node):
            return type(node)(*new)
        if isinstance(node, dict):
            return type(node)(zip(node, new, strict=True))
        structure = jax.tree.structure(node, is_leaf=lambda x: x is not node)
        return jax.tree.unflatten(structure, new)

    return changed(tree, ())


@jax.tree_util.register_pytree_node_class
class _Parameters:
    """A placeholder for the parameters when only a state's structure is needed."""

    def tree_flatten(self) -> tuple[tuple[()], None]:
        return (), None

    @classmethod
    def tree_unflatten(cls, structure: None, children: Any) -> _Parameters:
        return cls()


def _are_parameters(node: Any) -> bool:
    return isinstance(node, _Parameters)


def map_params(
    initable: Any,
    f: Callable[..., Any],
    state: PyTree,
    /,
    *rest: Any,
    transform_non_params: Callable[..., Any] | None = None,
    is_leaf: Callable[[Any], bool] | None = None,
) -> PyTree:
    """``f`` applied to the per-parameter parts of a state."""
    init = getattr(initable, "init", initable)

    def mapped(place: Any, value: Any) -> Any:
        if _are_parameters(place):
            return jax.tree.map(f, value, *rest, is_leaf=is_leaf)
        return value if transform_non_params is None else transform_non_params(value)

    return jax.tree.map(mapped, init(_Parameters()), state, is_leaf=_are_parameters)
