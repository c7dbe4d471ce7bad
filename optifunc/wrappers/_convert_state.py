"""Converting a transformation's state to that of a wrapped one, and back."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import numpy as np
from jax import lax

from .._quantization import is_quantized, stored_as
from .._state import (
    Field,
    Role,
    declared_roles,
    map_state,
    state_fields,
)
from .._transformation import GradientTransformation, State
from .._tree import PyTree, leaf_dtype, listed, path_name


def convert_state(state: State, tx: GradientTransformation, params: PyTree) -> State:
    """Continue a run inside another wrapper, or without one.

    ::

        tx = of.adamw(1e-3)                              # a checkpoint of this
        wrapped = of.master_weights(of.quantized(tx))
        state = of.convert_state(state, wrapped, params)
        state = of.convert_state(state, tx, params)      # and back

    Each field is taken from the field with the same name and converted to the dtype or
    codes of ``tx``. If several have the name, the one whose path has the longest common
    suffix is used. Fields that only a wrapper has (``master``, ``kahan_comp``,
    ``lower``) start at their initial values, which for master weights is ``params``;
    fields that only the old wrapper had are dropped. To stop using master weights
    without loss, continue with them as parameters: ``of.find_in_state(state,
    "master")``.

    **Arguments:**

    - ``state``: the state of a transformation of this library or of optax.
    - ``tx``: the transformation that continues the run.
    - ``params``: the parameters, as ``tx`` will see them.

    **Returns:** a state of ``tx``.

    **Raises:** `ValueError` if ``tx`` without its wrappers needs a field that ``state``
    lacks, if ``state`` without its wrappers has one that ``tx`` lacks, if fields with
    the same name are ambiguous, and for an array with another shape.
    """
    initial = tx.init(params)
    found = state_fields(state, params)
    lacking: list[str] = []
    taken: set[str] = set()
    optional = _fields_of_wrappers(initial)

    def fill(field: Field, value: Any) -> Any:
        match = _match(field, [f for f, _ in found])
        if match is None:
            is_optional = field.name in optional or field.role is Role.RESTARTING
            if not is_optional and jax.tree.leaves(value):
                lacking.append(path_name(field.path))
            return value
        taken.add(match.name)
        return _converted_field(dict(found)[match], value, path_name(field.path))

    new = map_state(fill, initial, params)
    names = {f.name for f, value in found if jax.tree.leaves(value)}
    surplus = names - taken - _fields_of_wrappers(state)
    if lacking or surplus:
        wrong = (
            f"tx needs {listed(lacking)}, which the state lacks"
            if lacking
            else f"the state has {listed(sorted(surplus))}, which tx does not take"
        )
        raise ValueError(
            f"{wrong}; convert_state changes the wrappers around a transformation, "
            "not the transformation"
        )
    return new


def _fields_of_wrappers(state: State) -> set[str]:
    """The names of fields next to one that holds another transformation's state."""
    names: set[str] = set()

    def visit(node: Any) -> bool:
        kind: Any = type(node)
        roles = declared_roles(kind)
        if roles and None in roles.values():
            names.update(name for name, role in roles.items() if role is not None)
        return False

    jax.tree.leaves(state, is_leaf=visit)
    return names


def _match(field: Field, candidates: list[Field]) -> Field | None:
    """The candidate with the same path, or else with the longest common suffix."""

    def common(other: Field) -> int:
        pairs = zip(_names(field), _names(other), strict=False)
        return len([*itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)])

    alike = [
        other
        for other in candidates
        if other.name == field.name
        and other.role.is_per_parameter == field.role.is_per_parameter
    ]
    if not alike or field in alike:
        return field if alike else None
    longest = max(map(common, alike))
    best = [other for other in alike if common(other) == longest]
    if len(best) > 1:
        paths = [path_name(other.path) for other in best]
        raise ValueError(
            f"{path_name(field.path)!r} may be any of {listed(paths)} of the state; "
            "convert the parts of the state one by one"
        )
    return best[0]


def _names(field: Field) -> list[str]:
    return [path_name((key,)) for key in reversed(field.path)]


def _converted_field(value: PyTree, like: PyTree, name: str) -> PyTree:
    """The arrays of ``value`` in the dtypes, or codes, of ``like``."""

    def convert(old: Any, x: Any) -> Any:
        if np.shape(x) != np.shape(old):
            raise ValueError(
                f"the state's {name} has shape {np.shape(x)}, expected {np.shape(old)}"
            )
        x = stored_as(old, x)
        return x if is_quantized(old) else lax.convert_element_type(x, leaf_dtype(old))

    return jax.tree.map(convert, like, value, is_leaf=is_quantized)
