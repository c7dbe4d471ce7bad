"""Parameters that have taken the same steps share one state: a cohort.

A pure state holds one tree for each field (``exp_avg``) and shared values (``step``).
In torch, each parameter has its own step count, because a parameter without a gradient
is skipped. An example with Adam and two parameters::

    step 1: gradients of a and b    one cohort:   {a, b}, step = 1
    step 2: gradient of a alone     two cohorts:  {a}, step = 2;  {b}, step = 1
    step 3: gradients of a and b    two cohorts:  {a}, step = 3;  {b}, step = 2
    step 4: gradient of b alone     one cohort:   {a, b}, step = 3

A step updates every cohort that has gradients, each with its own state, in one compiled
program (`assembled`). Before step 2, the cohort is split; after step 4, the two are
merged. Both operations use `Columns`, which lists each field's values by parameter,
like torch's checkpoints. `CohortStates` converts between the two forms by the roles of
the fields (`optifunc._state`).
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from .._dataclass import child, static
from .._extra import adapted_extra
from .._numerics import increment
from .._quantization import is_quantized, stored_as
from .._state import Field, Role, Shared, map_state, parts_of, state_fields
from .._transformation import (
    Child,
    GradientTransformation,
    State,
    require_params,
    transformation,
)
from .._tree import PyTree, flatten_like, is_sparse
from ..wrappers._masked import EmptyMaskWarning

Key: TypeAlias = Callable[[Field], str]


class Columns(NamedTuple):
    """A cohort's state by field: shared values, and values by parameter."""

    shared: dict[str, Any]
    own: dict[str, dict[int, Any]]  # by field and number of the parameter

    def of(self, members: Iterable[int]) -> Columns:
        """The columns of some of the parameters, safe when the others are donated."""
        members = set(members)
        return Columns(
            {k: _copied_arrays(v) for k, v in self.shared.items()},
            {
                name: {i: value for i, value in column.items() if i in members}
                for name, column in self.own.items()
            },
        )

    def copied(self) -> Columns:
        """The same columns with arrays that no step overwrites."""
        return Columns(_copied_arrays(self.shared), _copied_arrays(self.own))

    def shared_content(self) -> tuple[Any, ...]:
        """The shared values in a form that can be compared."""
        return tuple(
            (name, *(np.asarray(x).tobytes() for x in jax.tree.leaves(value)))
            for name, value in sorted(self.shared.items())
        )


@dataclasses.dataclass(frozen=True)
class Cohort:
    """Parameters of one group that have taken the same steps, and their state.

    ``kept`` is what ``tx`` does not use: all of the state if ``tx`` is None.
    """

    group: int
    members: tuple[int, ...]  # numbers of the parameters, over all groups
    steps: int
    tx: GradientTransformation | None = None
    state: State = None
    kept: Columns = dataclasses.field(default_factory=lambda: Columns({}, {}))


def _copied_arrays(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda x: jnp.array(x, copy=True), tree)


def select(leaves: Sequence[Any], treedef: Any, members: Iterable[int]) -> PyTree:
    """The tree of ``leaves`` with None for all but ``members``."""
    chosen = set(members)
    return treedef.unflatten(
        leaf if i in chosen else None for i, leaf in enumerate(leaves)
    )


class CohortStates:
    """States of cohorts in both forms, for the parameters of one optimizer.

    **Arguments:**

    - ``params``: the parameters of all groups.
    - ``key``: names a field; two fields of the same state have different names.
    """

    def __init__(self, params: PyTree, key: Key) -> None:
        self.params = params
        self.key = key

    @cached_property
    def _flat(self) -> tuple[list[Any], Any]:
        """The leaves and the structure; most steps do not need them."""
        return jax.tree.flatten(self.params)

    def new(
        self, group: int, members: tuple[int, ...], tx: GradientTransformation
    ) -> Cohort:
        """A cohort before its first step."""
        return Cohort(group, members, 0, tx, self._new_state(tx, members))

    def _new_state(self, tx: GradientTransformation, members: tuple[int, ...]) -> State:
        with warnings.catch_warnings():
            # A mask may select none of these parameters, but some of the others.
            if len(members) < len(self._flat[0]):
                warnings.simplefilter("ignore", EmptyMaskWarning)
            return tx.init(self._chosen(members))

    def _chosen(self, members: Iterable[int]) -> PyTree:
        return select(*self._flat, members)

    def columns(self, cohort: Cohort) -> Columns:
        """All of a cohort's state by field."""
        columns = Columns(dict(cohort.kept.shared), dict(cohort.kept.own))
        if cohort.tx is None:
            return columns
        chosen = self._chosen(cohort.members)
        for field, value in state_fields(cohort.state, chosen):
            if not field.role.is_per_parameter:
                columns.shared[self.key(field)] = value
                continue
            parts = zip(cohort.members, parts_of(value, chosen), strict=True)
            columns.own[self.key(field)] = {
                i: part for i, part in parts if jax.tree.leaves(part)
            }
        return columns

    def released(self, cohort: Cohort) -> Cohort:
        """The cohort with its state by field, independent of a transformation."""
        kept = self.columns(cohort)
        return dataclasses.replace(cohort, tx=None, state=None, kept=kept)

    def refitted(self, cohort: Cohort, tx: GradientTransformation) -> Cohort:
        """`fitted`, at no cost if ``tx`` differs only in its numbers."""
        if cohort.tx is tx:
            return cohort
        if cohort.tx is not None:
            old: Any = jax.tree.structure(cohort.tx)
            if old == jax.tree.structure(tx):
                return dataclasses.replace(cohort, tx=tx)
        return self.fitted(cohort, tx)

    def fitted(self, cohort: Cohort, tx: GradientTransformation) -> Cohort:
        """The cohort with its state in the form that ``tx`` needs.

        **Raises:** `KeyError` for a field that the cohort lacks, as in torch, unless it
        may start mid-run; `ValueError` for an array of the wrong shape.
        """
        columns = self.columns(cohort)
        chosen = self._chosen(cohort.members)
        has_state = any(columns.own.values())
        # SGD and Muon have no count in torch: any number but 0 means there is state.
        shared = {"step": 1 if has_state else 0} | columns.shared
        used = set()

        def filled(field: Field, template: Any) -> Any:
            name = self.key(field)
            used.add(name)
            if not field.role.is_per_parameter:
                if name not in shared and has_state:
                    raise KeyError(name)
                return _like(shared.get(name, template), template, name)
            column = columns.own.get(name, {})
            parts = []
            for i, part in zip(cohort.members, parts_of(template, chosen), strict=True):
                is_needed = bool(jax.tree.leaves(part))
                if is_needed and i in column:
                    part = _like(column[i], part, f"{name} of parameter {i}")
                elif is_needed and field.role is not Role.RESTARTING:
                    raise KeyError(name)
                parts.append(part)
            structure: Any = jax.tree.structure(chosen)
            return structure.unflatten(parts)

        state = map_state(filled, self._new_state(tx, cohort.members), chosen)
        kept = Columns(
            {k: v for k, v in columns.shared.items() if k not in used},
            {k: v for k, v in columns.own.items() if k not in used},
        )
        return dataclasses.replace(cohort, tx=tx, state=state, kept=kept)

    def split(self, cohort: Cohort, chosen: set[int]) -> list[Cohort]:
        """The cohort as two: the members in ``chosen``, and the others."""
        columns = self.columns(cohort)
        halves = (
            tuple(i for i in cohort.members if i in chosen),
            tuple(i for i in cohort.members if i not in chosen),
        )
        return [
            Cohort(cohort.group, half, cohort.steps, kept=columns.of(half))
            for half in halves
        ]

    def merged(self, cohorts: Sequence[Cohort]) -> list[Cohort]:
        """The cohorts, merging those whose parameters have caught up."""
        result: dict[Any, Cohort] = {}
        ages = [(c.group, c.steps) for c in cohorts]
        for number, cohort in enumerate(cohorts):
            if ages.count(ages[number]) == 1:
                result[number] = cohort
                continue
            columns = self.columns(cohort)
            same = ages[number], columns.shared_content(), frozenset(columns.own)
            other = result.get(same)
            if other is None:
                result[same] = self.released(cohort)
                continue
            own = {k: other.kept.own[k] | column for k, column in columns.own.items()}
            result[same] = dataclasses.replace(
                other,
                members=tuple(sorted(other.members + cohort.members)),
                kept=Columns(columns.shared, own),
            )
        return list(result.values())


def _like(value: PyTree, template: PyTree, name: str) -> PyTree:
    """``value`` as arrays with the dtypes, or codes, of ``template``."""
    if value is template:
        return value

    def check_shape(array: Any, like: Any) -> None:
        if np.shape(array) != np.shape(like):
            raise ValueError(
                f"the state {name} has shape {np.shape(array)}, "
                f"expected {np.shape(like)}"
            )

    if is_quantized(template) or is_quantized(value):
        check_shape(value, template)
        value = stored_as(template, value)

    def converted(array: Any, like: Any) -> Any:
        check_shape(array, like)
        # A copy, because a step overwrites its state.
        array = jnp.array(array, like.dtype, copy=True)
        return jax.device_put(array, like.sharding) if like.committed else array

    structure: Any
    leaves, structure = jax.tree.flatten(template)
    values = flatten_like(value, template, (name, "the optimizer's state"))
    return structure.unflatten(map(converted, values, leaves))


@transformation
class by_part(GradientTransformation):
    """A transformation for each part of the parameters.

    A parameter that is in no part, or whose gradient is None, does not change.

    **Arguments:**

    - ``members``: the transformations.
    - ``parts``: for each, the numbers of its leaves in the order of `jax.tree.leaves`.

    **State:** the tuple of the members' states.
    """

    members: tuple[GradientTransformation, ...] = child()
    parts: tuple[tuple[int, ...], ...] = static()

    def state_of(self, child: Child, state: State) -> State:
        return state[child.key]

    def params_of(self, child: Child, params: PyTree) -> PyTree:
        leaves, treedef = jax.tree.flatten(params)
        return select(leaves, treedef, self.parts[child.key])

    def init(self, params: PyTree) -> State:
        return tuple(
            part.transformation.init(self.params_of(part, params))
            for part in self.children()
        )

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        require_params(params, updates, "an optimizer with several groups")
        treedef: Any
        leaves, treedef = jax.tree.flatten(params)
        grads = flatten_like(updates, params, ("updates", "params"))
        result: list[Any] = [None] * len(leaves)
        states = []
        for tx, part, own in zip(self.members, self.parts, state, strict=True):

            def restrict(tree: PyTree, part: tuple[int, ...] = part) -> PyTree:
                return select(jax.tree.leaves(tree), treedef, part)

            def restore(chosen: PyTree) -> PyTree:
                parts = treedef.flatten_up_to(chosen)
                pairs = zip(parts, leaves, strict=True)
                return treedef.unflatten(p if x is None else x for x, p in pairs)

            new, own = tx.update(
                select(grads, treedef, part),
                own,
                restrict(params),
                **adapted_extra(extra, params, restrict, restore),
            )
            states.append(own)
            for i, leaf in zip(
                part, jax.tree.leaves(new, is_leaf=is_sparse), strict=True
            ):
                result[i] = leaf
        return treedef.unflatten(result), tuple(states)


class CountStepsState(NamedTuple):
    """State of `count_steps`."""

    step: Shared  # int32 [], updates done so far


@transformation
class count_steps(GradientTransformation):
    """Count the updates without changing them.

    torch's checkpoints have a count for some optimizers that never read it.
    """

    leaves_updates: ClassVar[bool] = True

    def init(self, params: PyTree) -> CountStepsState:
        return CountStepsState(jnp.zeros((), jnp.int32))

    def update(
        self,
        updates: PyTree,
        state: CountStepsState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, CountStepsState]:
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


def disassembled(
    cohorts: Sequence[Cohort], count: int, state: State, steps: int = 0
) -> list[Cohort]:
    """The cohorts ``steps`` steps later, with their parts of the new ``state``.

    This is the inverse of `assembled`.
    """
    whole = len(cohorts) == 1 and len(cohorts[0].members) == count
    states = (state,) if whole else state
    return [
        dataclasses.replace(c, steps=c.steps + steps, state=own)
        for c, own in zip(cohorts, states, strict=True)
    ]
