"""Hyperparameters: their types, reading and editing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ._dataclass import child_field_names, data_field_names, replace
from ._numerics import is_number
from ._transformation import GradientTransformation, State

# What a user passes: a number, an array, or a schedule (a function of the step).
Hyperparameter: TypeAlias = float | Array | Callable[[Any], Array]
# The same as a field of a transformation: a number or an array by the time of an
# update, because `scheduled` has replaced schedules by their values.
Value: TypeAlias = Any


def is_schedule(value: Any) -> bool:
    """Whether a hyperparameter is a function of the step."""
    return callable(value)


def has_schedule(value: Any) -> bool:
    """Whether a hyperparameter, or a tuple of them, holds a schedule."""
    return any(map(is_schedule, jax.tree.leaves(value, is_leaf=is_schedule)))


def _edit(
    tx: GradientTransformation,
    state: Any,
    edit: Callable[[str, Any], Any],
    prefix: str = "",
    last: bool = False,
) -> GradientTransformation:
    """Rebuild ``tx`` with ``edit(qualified name, value)`` for each hyperparameter."""
    if state is not None:
        tx = tx.in_force(_one_before(state) if last else state)
    changes: dict[str, Any] = {}
    held = child_field_names(type(tx))
    for field in data_field_names(type(tx)):
        value = getattr(tx, field)
        is_absent = value is None or (isinstance(value, tuple | dict) and not value)
        if field not in held and not is_absent:
            changes[field] = edit(f"{prefix}{field}", value)
    for child in tx.children():
        # If a transformation has only one child, it adds nothing to the names.
        part = (
            (child.field if len(held) > 1 else "") if child.key is None else child.key
        )
        new = _edit(
            child.transformation,
            None if state is None else tx.state_of(child, state),
            edit,
            f"{prefix}{part}." if part != "" else prefix,
            last,
        )
        if child.key is None:
            changes[child.field] = new
        elif new is not child.transformation:
            before = changes.get(child.field, getattr(tx, child.field))
            changes[child.field] = _with_item(before, child.key, new)
    if all(getattr(tx, name) is value for name, value in changes.items()):
        return tx
    return replace(tx, **changes)


def _one_before(state: State) -> State:
    """``state`` with the step count from before the last update."""
    if not hasattr(state, "step"):
        return state
    return state._replace(step=jnp.maximum(jnp.asarray(state.step) - 1, 0))


def _in_the_form_of(old: Any, new: Any) -> Any:
    """``new``, with an array for each number where ``old`` has a scalar array.

    A compiled function tells a number from an array by its type.
    """

    def convert(old: Any, new: Any) -> Any:
        is_scalar = isinstance(old, Array) and old.ndim == 0
        return lax.full_like(old, new) if is_scalar and is_number(new) else new

    structure: Any = jax.tree.structure(old)
    if structure != jax.tree.structure(new):
        return new
    return jax.tree.map(convert, old, new)


def _with_item(items: Any, key: Any, new: GradientTransformation) -> Any:
    """A tuple or dict of transformations with another one at ``key``."""
    if isinstance(items, tuple):
        return (*items[:key], new, *items[key + 1 :])
    return type(items)((k, new if k == key else tx) for k, tx in items.items())


def _spellings(name: str) -> tuple[str, ...]:
    """The possible names of a hyperparameter, from the shortest to its full path.

    Positions in a chain (``"decoder.2.lr"``) may be omitted: ``"decoder.lr"``.
    """
    parts = name.split(".")
    words = [part for part in parts if not part.isdigit()]
    return tuple(dict.fromkeys((parts[-1], ".".join(words), name)))


def _short_names(names: list[str]) -> dict[str, str]:
    """The shortest unambiguous spelling of each qualified name."""
    counts = Counter(spelling for name in names for spelling in _spellings(name))
    return {
        name: next((s for s in _spellings(name) if counts[s] == 1), name)
        for name in names
    }


def current_hyperparameters(
    tx: GradientTransformation,
    state: State | None,
    *,
    last: bool = False,
    plain: bool = False,
) -> dict[str, Any]:
    """The values that the next update will use, or that the last one used, for logging.

    **Arguments:**

    - ``tx``: a transformation.
    - ``state``: its state, which has the step count for its schedules. Works inside
      jit, too. With None, the hyperparameters are returned as they were passed,
      including schedules.
    - ``last``: report the last update's values, like optax's injected hyperparameters;
      before the first update, those of the first.
    - ``plain``: return Python numbers and lists instead of arrays and tuples, so that
      `json` can write them. A schedule (only without a ``state``) becomes its name.

    **Returns:** a dict from names (``"lr"``, ``"betas"``) to numbers, arrays or tuples
    of them. If a name occurs several times, each is qualified by the names in a chain
    or partition (``"decoder.lr"``) or, if these do not distinguish them, by the
    positions in chains (``"0.eps"``).

    **Raises:** `TypeError` if ``plain`` is used inside a compiled function, where there
    are no numbers yet.
    """
    found: dict[str, Any] = {}

    def record(name: str, value: Any) -> Any:
        found[name] = value
        return value

    _edit(tx, state, record, last=last)
    short = _short_names(list(found))
    return {
        short[name]: _plain(short[name], value) if plain else value
        for name, value in found.items()
    }


def _plain(name: str, value: Any) -> Any:
    """A hyperparameter in types that `json` can write."""
    if isinstance(value, jax.core.Tracer):
        raise TypeError(
            f"plain=True needs the value of {name!r}, found a tracer: call "
            "current_hyperparameters outside the compiled function, or without plain"
        )
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [_plain(name, item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(name, item) for key, item in value.items()}
    if is_schedule(value):
        # One of our schedules wraps the user's function.
        function = getattr(value, "function", value)
        return getattr(function, "__qualname__", None) or repr(value)
    if not isinstance(value, Array | np.ndarray | np.generic):
        return repr(value)
    if isinstance(value, Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    # NumPy has no scalar types for bfloat16 and the 8-bit types.
    is_float = jnp.issubdtype(value.dtype, jnp.floating)
    return np.asarray(value, np.float64 if is_float else None).tolist()


def replace_hyperparameters(
    tx: GradientTransformation, /, **values: Any
) -> GradientTransformation:
    """The same transformation with other hyperparameters.

    ``replace_hyperparameters(tx, lr=3e-4)`` has the structure of ``tx``: it
    continues from the same state and does not trigger recompilation. If ``tx`` holds a
    scalar array, a number becomes an array of the same dtype.

    **Arguments:**

    - ``tx``: a transformation.
    - ``values``: new values by name, with the names of `current_hyperparameters`. Pass
      a qualified name as ``**{"decoder.lr": 3e-4}``.

    **Returns:** a transformation of the same structure.

    **Raises:** `ValueError` for a name that ``tx`` does not have (it lists the known
    ones), for one that several of its members have (it lists the qualified names),
    for a value out of range, and for a schedule where there was a number (the state
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
        if has_schedule(new) and not has_schedule(value):
            raise ValueError(
                f"{name} is {value!r} and cannot become a schedule, {new!r}: "
                "the state counts no steps for it; build the transformation with one"
            )
        return new

    # Check the ranges of numbers before any becomes an array.
    _edit(tx, None, edit)
    return _edit(tx, None, lambda name, old: _in_the_form_of(old, edit(name, old)))
