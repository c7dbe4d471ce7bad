"""Hyperparameters that follow schedules."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from .._checks import shown
from .._dataclass import child, child_field_names, data_field_names, replace
from .._foreign import foreign
from .._hyperparameters import has_schedule, is_schedule
from .._numerics import increment
from .._state import Shared
from .._transformation import GradientTransformation, State, transformation
from .._tree import PyTree
from ..schedules._function import as_schedule

T = TypeVar("T", bound=GradientTransformation)


class ScheduledState(NamedTuple):
    """State of `scheduled`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``inner``: the inner transformation's state.
    """

    step: Shared
    inner: State


@transformation
class scheduled(GradientTransformation):
    """Let a transformation's hyperparameters follow schedules.

    Before update number ``t`` (counted from 0) each schedule in ``inner`` is replaced
    by its value at ``t``. Chains and all other wrappers, and so every optimizer, do
    this for their members. You need it only for a single building block::

        decay = of.schedules.cosine_annealing(0.1, 1000)
        of.scheduled(of.add_decayed_weights(decay))

    **Arguments:**

    - ``inner``: a transformation with a schedule (an `optifunc.schedules.Schedule` or
      any function of the step) for a hyperparameter.

    **State:** `ScheduledState`.

    **Raises:** `TypeError` if ``inner`` is not a transformation; whatever ``inner``
    raises for the value of a schedule.
    """

    leaves_updates: ClassVar[bool] = True

    inner: GradientTransformation = child()

    def __post_init__(self) -> None:
        inner = jax.tree.map(as_schedule, self.inner, is_leaf=_is_whole)
        object.__setattr__(self, "inner", inner)

    def at(self, step: Any) -> GradientTransformation:
        """The inner transformation with the values of one update.

        **Arguments:**

        - ``step``: the number of updates before it.

        **Returns:** a transformation without schedules.
        """

        def value(leaf: Any) -> Any:
            return leaf(step) if is_schedule(leaf) else leaf

        tx: GradientTransformation = jax.tree.map(value, self.inner, is_leaf=_is_whole)
        return tx

    def in_force(self, state: ScheduledState) -> scheduled:
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


def values_at(tx: T, step: Any) -> T:
    """``tx`` with the schedules among its own hyperparameters replaced by values."""
    held = child_field_names(type(tx))
    own = (name for name in data_field_names(type(tx)) if name not in held)
    values = {
        name: jax.tree.map(
            lambda x: x(step) if is_schedule(x) else x,
            getattr(tx, name),
            is_leaf=is_schedule,
        )
        for name in own
        if has_schedule(getattr(tx, name))
    }
    return replace(tx, **values) if values else tx


def _is_whole(node: Any) -> bool:
    """Whether `scheduled` treats ``node`` as a unit."""
    evaluates_itself = isinstance(node, GradientTransformation) and (
        type(node).in_force is not GradientTransformation.in_force
    )
    return evaluates_itself or is_schedule(node)


def with_schedules(tx: GradientTransformation) -> GradientTransformation:
    """``tx``, inside `scheduled` if one of its own hyperparameters is a schedule."""
    if _is_whole(tx):
        return tx
    held = child_field_names(type(tx))
    own = (name for name in data_field_names(type(tx)) if name not in held)
    return scheduled(tx) if any(has_schedule(getattr(tx, n)) for n in own) else tx


def as_transformation(tx: Any) -> GradientTransformation:
    """``tx`` as a transformation of this library.

    **Arguments:**

    - ``tx``: a transformation of this library, which is returned unchanged (inside
      `scheduled`, if one of its hyperparameters is a schedule), or any object with
      functions ``init(params)`` and ``update(updates, state, params)``, such as an
      optax transformation.

    **Returns:** a `GradientTransformation`.

    **Raises:** `TypeError` for anything else.
    """
    # A subclass without the decorator has no fields: it is a pair of functions.
    if isinstance(tx, GradientTransformation) and dataclasses.is_dataclass(tx):
        return with_schedules(tx)
    init, update = getattr(tx, "init", None), getattr(tx, "update", None)
    if callable(init) and callable(update) and not isinstance(tx, type):
        return foreign(init, update)
    raise TypeError(
        "expected a gradient transformation (an object with init and update), "
        f"found {shown(tx)}{_way_out(tx)}"
    )


def _way_out(found: Any) -> str:
    """What a user may have meant who gave ``found`` as a transformation."""
    if isinstance(found, list | tuple) and all(
        isinstance(tx, GradientTransformation) for tx in found
    ):
        return "; join several with chain(a, b), or chain(*members) for a list"
    if callable(found):
        name = getattr(found, "__name__", type(found).__name__)
        return f"; call it first: {name}(...)"
    if hasattr(found, "param_groups"):
        return (
            "; a stateful optimizer holds its transformation: tx, state, params = "
            "optimizer.functional()"
        )
    return ""
