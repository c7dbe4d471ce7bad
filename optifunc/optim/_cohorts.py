"""State in both layouts: trees for each field, and fields for each parameter.

A pure state holds one tree for each field (``exp_avg``) and what all its parameters
have in common (``step``); torch's holds all fields of each parameter. Parameters that
have taken different steps therefore cannot share a pure state: those that can are a
cohort.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._dataclass import static
from .._numerics import increment
from .._transformation import (
    GradientTransformation,
    State,
    require_params,
    transformation,
)
from .._tree import PyTree, flatten_like, is_sparse

# Fields that all parameters of a cohort have in common.
SHARED = frozenset({"step", "eta", "mu", "mu_product"})


class Columns(NamedTuple):
    """A cohort's state by field: common values, and values by parameter."""

    shared: dict[str, Any]
    own: dict[str, dict[int, Any]]  # by field and number of the parameter

    def of(self, members: Iterable[int]) -> "Columns":
        """The columns of some of the parameters, safe from donation by the others."""
        members = set(members)
        return Columns(
            {k: jnp.array(v, copy=True) for k, v in self.shared.items()},
            {
                name: {i: value for i, value in column.items() if i in members}
                for name, column in self.own.items()
            },
        )


@dataclasses.dataclass(frozen=True)
class Cohort:
    """Parameters of one group that have taken the same steps, and their state.

    ``kept`` is what ``tx`` does not use: all of the state where ``tx`` is None.
    """

    group: int
    members: tuple[int, ...]  # numbers of the parameters, over all groups
    steps: int
    tx: GradientTransformation | None = None
    state: State = None
    kept: Columns = dataclasses.field(default_factory=lambda: Columns({}, {}))


def select(leaves: Sequence[Any], treedef: Any, members: Iterable[int]) -> PyTree:
    """The tree of ``leaves`` with None in the place of all but ``members``."""
    chosen = set(members)
    return treedef.unflatten(
        leaf if i in chosen else None for i, leaf in enumerate(leaves)
    )


def field_name(path: Sequence[Any]) -> str:
    """The name of a state's field: torch's key."""
    return str(path[-1].name) if path and hasattr(path[-1], "name") else ""


def _parts(node: Any, structure: Any) -> list[Any] | None:
    """What ``node`` holds for each parameter; None if it does not go with them."""
    try:
        parts: list[Any] = structure.flatten_up_to(node)
    except (ValueError, TypeError):
        return None
    if all(x is None or isinstance(x, jax.Array | np.ndarray) for x in parts):
        return parts
    return None


def _nodes(state: State, structure: Any) -> tuple[list[tuple[Any, Any]], Any]:
    def goes_with_parameters(node: Any) -> bool:
        return node is not None and _parts(node, structure) is not None

    return jax.tree_util.tree_flatten_with_path(state, is_leaf=goes_with_parameters)


def columns_of(
    cohort: Cohort, params: PyTree, key: Callable[[Sequence[Any]], str] = field_name
) -> Columns:
    """All of a cohort's state by field. ``params``: the parameters of all groups."""
    shared, own = dict(cohort.kept.shared), dict(cohort.kept.own)
    if cohort.tx is not None:
        leaves, treedef = jax.tree.flatten(params)
        structure = jax.tree.structure(select(leaves, treedef, cohort.members))
        for path, node in _nodes(cohort.state, structure)[0]:
            parts = None if _is_shared(path) else _parts(node, structure)
            if parts is None:
                shared[key(path)] = node
            else:
                pairs = zip(cohort.members, parts, strict=True)
                own[key(path)] = {i: x for i, x in pairs if x is not None}
    return Columns(shared, own)


def _is_shared(path: Sequence[Any]) -> bool:
    return field_name(path) in SHARED


def released(
    cohort: Cohort, params: PyTree, key: Callable[[Sequence[Any]], str] = field_name
) -> Cohort:
    """The cohort with its state by field, independent of a transformation."""
    columns = columns_of(cohort, params, key)
    return dataclasses.replace(cohort, tx=None, state=None, kept=columns)


def fitted(
    cohort: Cohort,
    tx: GradientTransformation,
    params: PyTree,
    key: Callable[[Sequence[Any]], str] = field_name,
    lazy: frozenset[str] = frozenset(),
) -> Cohort:
    """The cohort with its state in the form that ``tx`` needs.

    **Arguments:** ``lazy``: fields that start anew where a cohort has none.

    **Raises:** `KeyError` for any other field that the cohort lacks, as torch does;
    `ValueError` for an array of the wrong shape.
    """
    columns = columns_of(cohort, params, key)
    leaves, treedef = jax.tree.flatten(params)
    chosen = select(leaves, treedef, cohort.members)
    structure: Any = jax.tree.structure(chosen)
    state_structure: Any
    template = tx.init(chosen)
    nodes, state_structure = _nodes(template, structure)
    # SGD and Muon have no count in torch: any number but 0 says that there is state.
    shared = {"step": 1 if any(columns.own.values()) else 0} | columns.shared
    used, filled = set(), []
    for path, node in nodes:
        name = key(path)
        used.add(name)
        parts = None if _is_shared(path) else _parts(node, structure)
        if parts is None:
            if name not in shared and any(columns.own.values()):
                raise KeyError(name)
            filled.append(_like(shared.get(name, node), node, name))
            continue
        column = columns.own.get(name, {})
        values: list[Any] = []
        for i, part in zip(cohort.members, parts, strict=True):
            if part is None:
                values.append(None)
            elif i in column:
                values.append(_like(column[i], part, f"{name} of parameter {i}"))
            elif name in lazy:
                values.append(part)
            else:
                raise KeyError(name)
        filled.append(structure.unflatten(values))
    kept = Columns(
        {k: v for k, v in columns.shared.items() if k not in used},
        {k: v for k, v in columns.own.items() if k not in used},
    )
    return dataclasses.replace(
        cohort, tx=tx, state=state_structure.unflatten(filled), kept=kept
    )


def _like(value: Any, template: Any, name: str) -> Any:
    if value is template:
        return value
    if np.shape(value) != np.shape(template):
        raise ValueError(
            f"the state {name} has shape {np.shape(value)}, "
            f"expected {np.shape(template)}"
        )
    # A copy, because a step writes over its state.
    array = jnp.array(value, template.dtype, copy=True)
    if getattr(template, "committed", False):
        return jax.device_put(array, template.sharding)
    return array


def split(cohort: Cohort, params: PyTree, chosen: set[int], key: Any) -> list[Cohort]:
    """The cohort as two: the members in ``chosen``, and the others."""
    columns = columns_of(cohort, params, key)
    halves = (
        tuple(i for i in cohort.members if i in chosen),
        tuple(i for i in cohort.members if i not in chosen),
    )
    return [
        Cohort(cohort.group, half, cohort.steps, kept=columns.of(half))
        for half in halves
    ]


def merged(cohorts: Sequence[Cohort], params: PyTree, key: Any) -> list[Cohort]:
    """Put cohorts together whose parameters have caught up with each other."""
    result: dict[Any, Cohort] = {}
    ages = [(c.group, c.steps) for c in cohorts]
    for number, cohort in enumerate(cohorts):
        age = ages[number]
        if ages.count(age) == 1:
            result[number] = cohort
            continue
        columns = columns_of(cohort, params, key)
        values = tuple(
            (name, np.asarray(value).tobytes())
            for name, value in sorted(columns.shared.items())
        )
        other = result.get((age, values, frozenset(columns.own)))
        if other is None:
            result[age, values, frozenset(columns.own)] = released(cohort, params, key)
            continue
        together = {
            name: other.kept.own[name] | column for name, column in columns.own.items()
        }
        result[age, values, frozenset(columns.own)] = dataclasses.replace(
            other,
            members=tuple(sorted(other.members + cohort.members)),
            kept=Columns(columns.shared, together),
        )
    return list(result.values())


@transformation
class by_part(GradientTransformation):
    """A transformation of its own for each part of the parameters.

    **Arguments:** ``members``: the transformations; ``parts``: for each the numbers of
    its leaves, in the order in which `jax.tree.leaves` lists the parameters.

    **State:** the tuple of the members' states. A parameter that is in no part, or
    whose gradient is None, is left as it is.
    """

    members: tuple[GradientTransformation, ...]
    parts: tuple[tuple[int, ...], ...] = static()

    def init(self, params: PyTree) -> State:
        leaves, treedef = jax.tree.flatten(params)
        return tuple(
            tx.init(select(leaves, treedef, part))
            for tx, part in zip(self.members, self.parts, strict=True)
        )

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        params = require_params(params, updates, "an optimizer with several groups")
        treedef: Any
        leaves, treedef = jax.tree.flatten(params)
        grads = flatten_like(updates, params, ("updates", "params"))
        result: list[Any] = [None] * len(leaves)
        states = []
        for tx, part, own in zip(self.members, self.parts, state, strict=True):
            new, own = tx.update(
                select(grads, treedef, part),
                own,
                select(leaves, treedef, part),
                **extra,
            )
            states.append(own)
            for i, leaf in zip(
                part, jax.tree.leaves(new, is_leaf=is_sparse), strict=True
            ):
                result[i] = leaf
        return treedef.unflatten(result), tuple(states)


class CountStepsState(NamedTuple):
    """State of `count_steps`."""

    step: Array  # int32 [], updates done so far


@transformation
class count_steps(GradientTransformation):
    """Leave the updates as they are and count them: torch's checkpoints have a count
    for some optimizers that never read it.
    """

    def init(self, params: PyTree) -> CountStepsState:
        return CountStepsState(jnp.zeros((), jnp.int32))

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        return updates, CountStepsState(increment(state.step))


def assembled(
    cohorts: Sequence[Cohort], count: int
) -> tuple[GradientTransformation, State]:
    """One transformation and one state for cohorts of ``count`` parameters in all."""
    if len(cohorts) == 1 and len(cohorts[0].members) == count:
        assert cohorts[0].tx is not None
        return cohorts[0].tx, cohorts[0].state
    members = tuple(c.tx for c in cohorts if c.tx is not None)
    return by_part(members, tuple(c.members for c in cohorts)), tuple(
        c.state for c in cohorts
    )


def disassembled(cohorts: Sequence[Cohort], count: int, state: State) -> list[Cohort]:
    """The cohorts with their parts of ``state``: the inverse of `assembled`."""
    whole = len(cohorts) == 1 and len(cohorts[0].members) == count
    states = (state,) if whole else state
    return [
        dataclasses.replace(c, state=own)
        for c, own in zip(cohorts, states, strict=True)
    ]


def parameter_state(
    cohorts: Iterable[Cohort],
    params: PyTree,
    fields: Sequence[str] | None,
    key: Callable[[Sequence[Any]], str] = field_name,
) -> dict[int, dict[str, Any]]:
    """The cohorts' states by parameter: ``fields`` in this order, or all of them."""
    result: dict[int, dict[str, Any]] = {}
    for cohort in cohorts:
        columns = columns_of(cohort, params, key)
        names = [*columns.shared, *columns.own] if fields is None else fields
        for i in cohort.members:
            entry: dict[str, Any] = {}
            for name in names:
                if name in columns.shared:
                    entry[name] = columns.shared[name]
                elif i in columns.own.get(name, {}):
                    entry[name] = columns.own[name][i]
            result[i] = entry
    return result


def cohorts_of(
    state: Mapping[int, Mapping[str, Any]],
    group_of: Sequence[int],
    shared_fields: Collection[str] = SHARED,
) -> list[Cohort]:
    """Parameters' states as cohorts: the inverse of `parameter_state`."""
    found: dict[Any, tuple[list[int], Columns]] = {}
    for i, entry in state.items():
        shared = {k: v for k, v in entry.items() if k in shared_fields}
        own = {k: v for k, v in entry.items() if k not in shared_fields}
        values = tuple(
            (name, np.asarray(value).tobytes())
            for name, value in sorted(shared.items())
        )
        members, columns = found.setdefault(
            (group_of[i], values, frozenset(own)), ([], Columns(shared, {}))
        )
        members.append(i)
        for name, value in own.items():
            columns.own.setdefault(name, {})[i] = value
    return [
        Cohort(
            key[0],
            tuple(sorted(members)),
            int(columns.shared.get("step", 0)),
            kept=columns,
        )
        for key, (members, columns) in found.items()
    ]
