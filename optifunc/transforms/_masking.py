"""Transformations for some of the parameters: masks and labels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.tree_util import PyTreeDef

from .._dataclass import static
from .._transformation import GradientTransformation, State, transformation
from .._tree import (
    PyTree,
    flatten_like,
    is_sparse,
    leaves_with_names,
    leaves_with_paths,
    listed,
    path_name,
)
from ._chain import as_transformation

Check = Callable[[str, Any], None]


@dataclass(frozen=True, repr=False)
class Selector:
    """A tree of bools or strings as a static value: hashable, compared by content."""

    treedef: PyTreeDef
    leaves: tuple[Any, ...]

    def __repr__(self) -> str:
        return repr(self.tree)

    @property
    def tree(self) -> PyTree:
        return jax.tree.unflatten(self.treedef, self.leaves)

    def values(self, params: PyTree, name: str) -> list[Any]:
        """One value for each leaf of ``params``; a leaf here serves a subtree there.

        **Raises:** `ValueError` that says where the two trees do not fit.
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


def _static_choice(choice: Any, check: Check) -> Any:
    """A mask or labels as given by the user, in a form that can be a static field."""
    if isinstance(choice, Selector):
        return choice
    # A tree may be callable too (a module), a function is no container.
    if callable(choice) and jax.tree_util.all_leaves([choice]):
        return choice
    for path, value in leaves_with_names(choice):
        check(path, value)
    leaves, treedef = jax.tree.flatten(choice)
    return Selector(treedef, tuple(leaves))


def _values(choice: Any, params: PyTree, name: str, check: Check) -> list[Any]:
    """The mask or label of each leaf of ``params``."""
    if isinstance(choice, Selector):
        return choice.values(params, name)
    values = []
    for path, leaf in leaves_with_names(params):
        value = choice(path, leaf)
        check(path, value)
        values.append(value)
    return values


def _select(tree: PyTree, reference: PyTree, name: str, chosen: list[Any]) -> PyTree:
    """``tree`` with ``None`` in the place of each leaf that is not chosen."""
    leaves = flatten_like(tree, reference, (name, "params"))
    selected = [
        leaf if is_chosen else None
        for leaf, is_chosen in zip(leaves, chosen, strict=True)
    ]
    return _like(reference, selected)


def _like(reference: PyTree, leaves: list[Any]) -> PyTree:
    treedef = jax.tree.structure(reference, is_leaf=is_sparse)
    return jax.tree.unflatten(treedef, leaves)


def _check_mask(path: str, value: Any) -> None:
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"mask must consist of bools, found {value!r} at {path!r}")


class MaskedState(NamedTuple):
    """State of `masked`."""

    inner: State  # with None in the place of each parameter that is not selected


@transformation
class masked(GradientTransformation):
    """Apply a transformation to selected leaves; the others pass unchanged.

    The inner transformation sees ``None`` in the place of updates and parameters that
    are not selected, and keeps no state for them.

    **Arguments:** ``inner``: a transformation, ours or optax's; ``mask``: a pytree of
    bools, whose leaves may stand for whole subtrees of the parameters, or a function
    of ``(path, leaf)`` that returns a bool, where ``path`` is dotted
    (``"encoder.0.kernel"``, also where a Variable of flax.nnx holds the array) and
    ``leaf`` the parameter (the update, where `update` is called without ``params``)::

        of.masked(of.add_decayed_weights(0.1), lambda path, leaf: leaf.ndim > 1)

    A mask is static: a tree is compared by content, a function by identity, so that a
    function made anew is compiled anew.

    **Raises:** `ValueError` for a mask value that is no bool; at `init` and `update`
    for a mask that does not fit the parameters or selects none of them.
    """

    inner: GradientTransformation
    mask: Any = static()

    def __post_init__(self) -> None:
        object.__setattr__(self, "inner", as_transformation(self.inner))
        object.__setattr__(self, "mask", _static_choice(self.mask, _check_mask))

    def _chosen(self, params: PyTree) -> list[Any]:
        chosen = _values(self.mask, params, "mask", _check_mask)
        if chosen and not any(chosen):
            names = [name for name, _ in leaves_with_names(params)]
            raise ValueError(
                f"mask selects none of the {len(names)} parameters ({listed(names)}): "
                f"{self.mask!r}"
            )
        return chosen

    def init(self, params: PyTree) -> MaskedState:
        chosen = self._chosen(params)
        return MaskedState(self.inner.init(_select(params, params, "params", chosen)))

    def update(
        self,
        updates: PyTree,
        state: MaskedState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, MaskedState]:
        reference = updates if params is None else params
        chosen = self._chosen(reference)
        new, inner = self.inner.update(
            _select(updates, reference, "updates", chosen),
            state.inner,
            None if params is None else _select(params, params, "params", chosen),
            **extra,
        )
        merged = [
            after if is_chosen else before
            for is_chosen, before, after in zip(
                chosen,
                flatten_like(updates, reference, ("updates", "params")),
                flatten_like(new, reference, ("the inner updates", "params")),
                strict=True,
            )
        ]
        return _like(reference, merged), MaskedState(inner)


@transformation
class partition(GradientTransformation):
    """Apply to each leaf the transformation of its label.

    Each transformation sees ``None`` in the place of updates and parameters of other
    labels, and keeps no state for them. With `set_to_zero` this freezes parameters::

        of.partition(
            {"train": of.adamw(1e-3), "freeze": of.set_to_zero()},
            lambda path, leaf: "freeze" if path.startswith("encoder") else "train",
        )

    Its state is a dict from labels to states. A label may be that of no leaf.

    **Arguments:** ``transformations``: a dict from labels (strings) to
    transformations, ours or optax's; ``labels``: a pytree of labels, whose leaves may
    stand for whole subtrees of the parameters, or a function of ``(path, leaf)`` that
    returns one (see `masked`).

    **Raises:** `TypeError` if ``transformations`` is no dict or a label no string;
    `ValueError` for an unknown label (it lists the known ones), at `init` for labels
    that do not fit the parameters, and at `update` for another partition's state.
    """

    transformations: dict[str, GradientTransformation]
    labels: Any = static()

    def __post_init__(self) -> None:
        given = self.transformations
        if not isinstance(given, dict) or not all(isinstance(k, str) for k in given):
            raise TypeError(
                "transformations must be a dict from labels (strings) to "
                f"transformations, found {given!r}"
            )
        own = {label: as_transformation(tx) for label, tx in given.items()}
        object.__setattr__(self, "transformations", own)
        object.__setattr__(
            self, "labels", _static_choice(self.labels, self._check_label)
        )

    def _check_label(self, path: str, value: Any) -> None:
        if not isinstance(value, str) or value not in self.transformations:
            raise ValueError(
                f"unknown label {value!r} at {path!r}; "
                f"known: {sorted(self.transformations)}"
            )

    def _labels(self, params: PyTree) -> list[Any]:
        return _values(self.labels, params, "labels", self._check_label)

    def init(self, params: PyTree) -> dict[str, State]:
        labels = self._labels(params)
        return {
            label: tx.init(
                _select(params, params, "params", [x == label for x in labels])
            )
            for label, tx in self.transformations.items()
        }

    def update(
        self,
        updates: PyTree,
        state: dict[str, State],
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, dict[str, State]]:
        if not isinstance(state, dict) or state.keys() != self.transformations.keys():
            found = sorted(state) if isinstance(state, dict) else type(state).__name__
            raise ValueError(
                "this state is not one of a partition with the labels "
                f"{sorted(self.transformations)}; found {found}"
            )
        reference = updates if params is None else params
        labels = self._labels(reference)
        merged: list[Any] = [None] * len(labels)
        states = {}
        for label, tx in self.transformations.items():
            chosen = [x == label for x in labels]
            new, states[label] = tx.update(
                _select(updates, reference, "updates", chosen),
                state[label],
                None if params is None else _select(params, params, "params", chosen),
                **extra,
            )
            leaves = flatten_like(new, reference, (f"updates of {label}", "params"))
            for i, leaf in enumerate(leaves):
                if chosen[i]:
                    merged[i] = leaf
        return _like(reference, merged), states
