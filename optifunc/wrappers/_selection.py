"""Which parameters: masks and labels, as trees or as functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.tree_util import PyTreeDef

from .._tree import (
    PyTree,
    flatten_like,
    is_sparse,
    leaves_with_names,
    leaves_with_paths,
    listed,
    path_name,
)

# Checks the mask or label at a path, and returns it in canonical form.
Check: TypeAlias = Callable[[str, Any], Any]
# A tree of bools, a function of (path, leaf), or a function of the tree.
Mask: TypeAlias = PyTree | Callable[[str, Any], bool] | Callable[[PyTree], PyTree]


@dataclass(frozen=True, repr=False)
class Selector:
    """A tree of bools or strings as a static value: hashable, compared by content."""

    treedef: PyTreeDef
    leaves: tuple[Any, ...]

    @classmethod
    def of(cls, tree: PyTree, check: Check) -> Selector:
        """The tree as a selector, with each leaf as ``check`` returns it."""
        values = tuple(check(path, leaf) for path, leaf in leaves_with_names(tree))
        return cls(jax.tree.structure(tree), values)

    @classmethod
    def _of_checked(cls, tree: PyTree) -> Selector:
        leaves, treedef = jax.tree.flatten(tree)
        return cls(treedef, tuple(leaves))

    def __repr__(self) -> str:
        return repr(self.tree)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy of a structure differs from it if it contains an Equinox module.
        return Selector._of_checked, (self.tree,)

    @property
    def tree(self) -> PyTree:
        return jax.tree.unflatten(self.treedef, self.leaves)

    def values(self, params: PyTree, name: str) -> list[Any]:
        """One value for each leaf of ``params``; a leaf here can cover a subtree there.

        **Raises:** `ValueError` that says where the two trees do not match.
        """
        try:
            subtrees = self.treedef.flatten_up_to(params)
        except (ValueError, TypeError) as error:
            raise ValueError(self._misfit(params, name)) from error
        return [
            value
            for value, subtree in zip(self.leaves, subtrees, strict=True)
            for _ in jax.tree.leaves(subtree, is_leaf=is_sparse)
        ]

    def _misfit(self, params: PyTree, name: str) -> str:
        def paths(tree: PyTree) -> list[tuple[Any, ...]]:
            return [path for path, _ in leaves_with_paths(tree)]

        def unmatched(
            shown: list[tuple[Any, ...]], matches: Callable[[Any], bool]
        ) -> list[str]:
            return [path_name(path) for path in shown if not matches(path)]

        own, theirs = paths(self.tree), paths(params)
        without_value = unmatched(theirs, lambda p: any(p[: len(o)] == o for o in own))
        without_leaf = unmatched(own, lambda o: any(p[: len(o)] == o for p in theirs))
        parts = [f"{name} must have the structure of the parameters or a prefix of it"]
        if without_value:
            parts.append(f"nothing in {name} for {listed(without_value)}")
        if without_leaf:
            parts.append(f"no parameter at {listed(without_leaf)}")
        if len(parts) == 1:
            parts.append(f"found {self.treedef}, expected {jax.tree.structure(params)}")
        return "; ".join(parts)


def is_function(choice: Any) -> bool:
    """Whether a mask is a function. A tree (a module) may also be callable."""
    return callable(choice) and jax.tree_util.all_leaves([choice])


def static_choice(choice: Any, check: Check) -> Any:
    """A mask or labels as given by the user, in a form that can be a static field."""
    if isinstance(choice, Selector) or is_function(choice):
        return choice
    return Selector.of(choice, check)


def chosen_values(choice: Any, params: PyTree, name: str, check: Check) -> list[Any]:
    """The mask or label of each leaf of ``params``."""
    # Also placeholders for parameters, where a program inspects a state's structure.
    if not jax.tree.leaves(params, is_leaf=is_sparse):
        return []
    if isinstance(choice, Selector):
        return choice.values(params, name)
    # The result of a function that uses jax.numpy is known now, even inside jit.
    with jax.ensure_compile_time_eval():
        if _takes_tree(choice):
            return Selector.of(choice(params), check).values(params, name)
        named = leaves_with_names(params)
        return [check(path, choice(path, leaf)) for path, leaf in named]


def _takes_tree(function: Callable[..., Any]) -> bool:
    """Whether a function takes the tree, as in optax, instead of (path, leaf)."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    required = [p for p in parameters if p.kind in kinds and p.default is p.empty]
    return len(required) == 1


def check_mask(path: str, value: Any) -> bool:
    """One value of a mask: a bool, or an array with one known bool."""
    is_array = isinstance(value, np.ndarray | jax.Array)
    is_known = not isinstance(value, jax.core.Tracer)
    if is_array and is_known and value.shape == () and value.dtype == bool:
        return bool(value)
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"mask must consist of bools, found {value!r} at {path!r}")
    return bool(value)


def like(reference: PyTree, leaves: list[Any]) -> PyTree:
    """The tree of ``leaves`` with the structure of ``reference``."""
    treedef = jax.tree.structure(reference, is_leaf=is_sparse)
    return jax.tree.unflatten(treedef, leaves)


def selected(tree: PyTree, reference: PyTree, name: str, chosen: list[bool]) -> PyTree:
    """``tree`` with ``None`` for each leaf that is not chosen.

    If the tree is a single array that is not chosen, the result is ``()``, because
    ``None`` would mean that there are no parameters.
    """
    leaves = flatten_like(tree, reference, (name, "params"))
    kept = [x if keep else None for x, keep in zip(leaves, chosen, strict=True)]
    part = like(reference, kept)
    return () if part is None and chosen else part


def merged(
    part: PyTree, rest: PyTree, reference: PyTree, name: str, chosen: list[bool]
) -> PyTree:
    """The chosen leaves of ``part`` and the other leaves of ``rest``."""
    pairs = zip(
        chosen,
        flatten_like(part, reference, (name, "params")),
        flatten_like(rest, reference, ("updates", "params")),
        strict=True,
    )
    return like(reference, [x if keep else y for keep, x, y in pairs])
