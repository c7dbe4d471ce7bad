"""Conversion between optax's states and those of this module."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from ..._transformation import GradientTransformation
from ..._tree import PyTree


def from_optax_state(
    tx: GradientTransformation, state: PyTree, params: PyTree
) -> PyTree:
    """An optax state as a state of ``tx``, so that a run can continue here.

    **Arguments:**

    - ``tx``: the result of this module's function with the same arguments as optax's.
    - ``state``: the state from optax, or its form in a checkpoint library (Orbax,
      msgpack), with dicts of fields or lists in place of named tuples.
    - ``params``: the parameters, or a tree of their shapes.

    **Returns:** a state of ``tx``.

    **Raises:** `ValueError` if the two have different leaves.
    """
    return _filled(jax.eval_shape(tx.init, params), state)


def to_optax_state(tx: Any, state: PyTree, params: PyTree) -> PyTree:
    """A state of this module as an optax state.

    **Arguments:**

    - ``tx``: optax's own transformation, built with the same arguments.
    - ``state``: a state of its counterpart here.
    - ``params``: the parameters, or a tree of their shapes.

    **Returns:** a state of ``tx``.

    **Raises:** `ValueError` if the two have different leaves.
    """
    return _filled(jax.eval_shape(tx.init, params), state)


def _filled(template: PyTree, state: PyTree) -> PyTree:
    """``template`` with the numbers of ``state``, which has the same structure."""
    wanted = jax.tree_util.tree_leaves_with_path(template)
    values = _in_order(template, state)
    for (path, leaf), value in zip(wanted, values, strict=True):
        if jax.numpy.shape(value) != leaf.shape:
            raise ValueError(
                f"{jax.tree_util.keystr(path)} has shape {leaf.shape} here and "
                f"{jax.numpy.shape(value)} in the given state"
            )
    structure = jax.tree.structure(template)
    arrays = [
        jax.numpy.asarray(value, leaf.dtype)
        for (_, leaf), value in zip(wanted, values, strict=True)
    ]
    return jax.tree.unflatten(structure, arrays)


def _in_order(template: Any, state: Any) -> list[Any]:
    """The leaves of ``state`` in the order of ``template``.

    Checkpoint libraries turn named tuples into dicts, and dicts have another order.
    """
    children, structure = _parts_of(template)
    if structure is None:
        leaves = jax.tree.leaves(state)
        if len(leaves) != 1:
            raise ValueError(f"expected an array for {template}, found {state!r}")
        return leaves
    if not jax.tree.leaves(template):
        return []
    found = _named_children(state)
    if found is None or not all(key in found for key in children):
        # By position, for a tuple or list, whatever the names of its entries are.
        entries = list(found.values()) if found else []
        entries = entries if len(entries) == len(children) else []
        found = dict(zip(children, entries, strict=False))
    values: list[Any] = []
    for key, child in children.items():
        if not jax.tree.leaves(child):
            continue
        if key not in found:
            raise ValueError(
                f"the state given has nothing for {key!r}; found {state!r}"
            )
        values += _in_order(child, found[key])
    return values


def _parts_of(node: Any) -> tuple[dict[str, Any], Any]:
    if hasattr(node, "shape"):
        return {}, None
    named = _named_children(node)
    return ({}, None) if named is None else (named, True)


def _named_children(node: Any) -> dict[str, Any] | None:
    """Children by name or position, as a string; None for a leaf."""
    if hasattr(node, "_fields"):
        return {name: getattr(node, name) for name in node._fields}
    if isinstance(node, dict):
        return {str(key): value for key, value in sorted(node.items(), key=_as_text)}
    if isinstance(node, list | tuple):
        return {str(i): value for i, value in enumerate(node)}
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        return {f.name: getattr(node, f.name) for f in dataclasses.fields(node)}
    return {} if node is None else None


def _as_text(item: tuple[Any, Any]) -> str:
    return str(item[0])
