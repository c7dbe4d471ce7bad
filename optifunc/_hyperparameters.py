"""Hyperparameters: values that follow a schedule, reading and editing."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array

from ._dataclass import data_field_names, replace
from ._numerics import increment
from ._transformation import GradientTransformation, State, transformation
from ._tree import PyTree
from .schedules._function import as_schedule

# What a user gives: a number, an array, or a schedule (a function of the step).
Hyperparameter: TypeAlias = float | Array | Callable[[Any], Array]
# The same as a field of a transformation: a number or an array by the time of an
# update, because `scheduled` has put values in the places of schedules.
Value: TypeAlias = Any


def _is_schedule(value: Any) -> bool:
    return callable(value)


class ScheduledState(NamedTuple):
    """State of `scheduled`."""

    step: Array  # int32 [], updates done so far
    inner: State


@transformation
class scheduled(GradientTransformation):
    """Let a transformation's hyperparameters follow schedules.

    Before update number ``t`` (counted from 0) each schedule in ``inner`` is replaced
    by its value at ``t``. A chain, and so every optimizer, does this to its members
    by itself; it is needed for a single building block used alone::

        decay = of.schedules.linear(1e-2, 0.1, total_iters=100)
        of.scheduled(of.add_decayed_weights(decay))

    **Arguments:** ``inner``: a transformation with a schedule (a
    `optifunc.schedules.Schedule` or any function of the step) in the place of a
    hyperparameter.
    """

    inner: GradientTransformation

    evaluates_schedules: ClassVar[bool] = True

    def __post_init__(self) -> None:
        inner = jax.tree.map(as_schedule, self.inner, is_leaf=_is_whole)
        object.__setattr__(self, "inner", inner)

    def at(self, step: Any) -> GradientTransformation:
        """The inner transformation with the values of update number ``step``."""

        def value(leaf: Any) -> Any:
            return leaf(step) if _is_schedule(leaf) else leaf

        tx: GradientTransformation = jax.tree.map(value, self.inner, is_leaf=_is_whole)
        return tx

    def in_force(self, state: ScheduledState) -> "scheduled":
        return scheduled(self.at(state.step))

    def init(self, params: PyTree) -> ScheduledState:
        step = jnp.zeros((), jnp.int32)
        return ScheduledState(step, self.at(step).init(params))

    def update(
        self,
        updates: PyTree,
        state: ScheduledState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScheduledState]:
        inner = self.at(state.step)
        updates, inner_state = inner.update(updates, state.inner, params, **extra)
        return updates, ScheduledState(increment(state.step), inner_state)


def _evaluates_schedules(node: Any) -> bool:
    return getattr(type(node), "evaluates_schedules", False)


def _is_whole(node: Any) -> bool:
    """Whether `scheduled` treats ``node`` as one: a schedule, or what has its own."""
    return _is_schedule(node) or _evaluates_schedules(node)


def with_schedules(tx: GradientTransformation) -> GradientTransformation:
    """``tx``, inside `scheduled` if a hyperparameter of its own is a schedule."""
    if _evaluates_schedules(tx):
        return tx
    own = [
        leaf
        for name in data_field_names(type(tx))
        if not _children(value := getattr(tx, name))
        for leaf in jax.tree.leaves(value, is_leaf=_is_schedule)
    ]
    return scheduled(tx) if any(map(_is_schedule, own)) else tx


def _children(value: Any) -> Mapping[Any, GradientTransformation]:
    """The transformations in a field, by their keys in it (None: the field itself)."""
    if isinstance(value, GradientTransformation):
        return {None: value}
    if isinstance(value, tuple):
        items: Any = enumerate(value)
    elif isinstance(value, dict):
        items = value.items()
    else:
        return {}
    children = dict(items)
    if children and all(
        isinstance(x, GradientTransformation) for x in children.values()
    ):
        return children
    return {}


def _state_of(state: Any, field: str, key: Any) -> Any:
    """The part of a transformation's state that belongs to one inside it."""
    if state is None:
        return None
    return getattr(state, field) if key is None else state[key]


def _edit(
    tx: GradientTransformation,
    state: Any,
    edit: Callable[[str, Any], Any],
    prefix: str = "",
) -> GradientTransformation:
    """Rebuild ``tx`` with ``edit(qualified name, value)`` for each hyperparameter."""
    if state is not None and hasattr(tx, "in_force"):
        tx = tx.in_force(state)
    changes = {}
    children_of = {
        field: _children(getattr(tx, field)) for field in data_field_names(type(tx))
    }
    several = sum(None in children for children in children_of.values()) > 1
    for field, children in children_of.items():
        value = getattr(tx, field)
        if not children:
            if not isinstance(value, tuple | dict) or value:
                changes[field] = edit(f"{prefix}{field}", value)
            continue
        edited = {}
        for key, child in children.items():
            # A transformation's only inner one adds nothing to the names.
            part = (f"{field}." if several else "") if key is None else f"{key}."
            edited[key] = _edit(
                child, _state_of(state, field, key), edit, prefix + part
            )
        if None in edited:
            changes[field] = edited[None]
        else:
            changes[field] = (
                type(value)(edited)
                if isinstance(value, dict)
                else tuple(edited.values())
            )
    if all(getattr(tx, name) is value for name, value in changes.items()):
        return tx
    return replace(tx, **changes)


def _spellings(name: str) -> tuple[str, ...]:
    """How a hyperparameter may be called: from the shortest to its full path.

    Positions in a chain (``"decoder.2.lr"``) may be left out: ``"decoder.lr"``.
    """
    parts = name.split(".")
    words = [part for part in parts if not part.isdigit()]
    return tuple(dict.fromkeys((parts[-1], ".".join(words), name)))


def _short_names(names: list[str]) -> dict[str, str]:
    """For each qualified name its shortest spelling that is not also another's."""
    counts = Counter(spelling for name in names for spelling in _spellings(name))
    return {
        name: next((s for s in _spellings(name) if counts[s] == 1), name)
        for name in names
    }


def current_hyperparameters(tx: GradientTransformation, state: State) -> dict[str, Any]:
    """The values that the next update uses, by name: for logging.

    **Arguments:** ``tx``: a transformation; ``state``: its state, which says where
    its schedules stand. Works inside jit too.

    **Returns:** a dict from names (``"lr"``, ``"betas"``) to numbers, arrays or tuples
    of them. Where a name occurs several times, each is qualified by the names in a
    chain or partition, and where these do not tell them apart by the positions in
    chains (``"decoder.lr"``, ``"0.eps"``).
    """
    found: dict[str, Any] = {}

    def record(name: str, value: Any) -> Any:
        found[name] = value
        return value

    _edit(tx, state, record)
    short = _short_names(list(found))
    return {short[name]: value for name, value in found.items()}


def replace_hyperparameters(
    tx: GradientTransformation, /, **values: Any
) -> GradientTransformation:
    """The same transformation with other hyperparameters.

    ``replace_hyperparameters(tx, lr=3e-4)`` has the structure of ``tx``: it goes on
    from the same state and compiles nothing anew. A name is as reported by
    `current_hyperparameters`; a qualified one is given as ``**{"decoder.lr": 3e-4}``.

    **Raises:** `ValueError` for a name that ``tx`` does not have (it lists the known
    ones), for one that several of its members have (it lists the qualified names),
    for a value out of range, and for a schedule in the place of a number (the state
    of ``tx`` has no step counter for it; build the transformation with a schedule).
    """
    names: list[str] = []

    def record(name: str, value: Any) -> Any:
        names.append(name)
        return value

    _edit(tx, None, record)
    short = _short_names(names)
    chosen: dict[str, Any] = {}
    for given, value in values.items():
        matches = [name for name in names if given in (name, short[name])]
        matches = matches or [name for name in names if given in _spellings(name)]
        if len(matches) > 1:
            raise ValueError(
                f"the hyperparameter {given!r} occurs several times; "
                f"choose from {sorted(short[name] for name in matches)}"
            )
        if not matches:
            raise ValueError(
                f"unknown hyperparameter {given!r}; known: {sorted(short.values())} "
                "(one that was given as the number 0 may have been left out: "
                "give it as jnp.zeros(()) to change it later)"
            )
        chosen[matches[0]] = value

    def edit(name: str, value: Any) -> Any:
        if name not in chosen:
            return value
        new = chosen[name]
        if _has_schedule(new) and not _has_schedule(value):
            raise ValueError(
                f"{name} is {value!r} and cannot become a schedule, {new!r}: "
                "the state counts no steps for it; build the transformation with one"
            )
        return new

    return _edit(tx, None, edit)


def _has_schedule(value: Any) -> bool:
    return any(map(_is_schedule, jax.tree.leaves(value, is_leaf=_is_schedule)))
