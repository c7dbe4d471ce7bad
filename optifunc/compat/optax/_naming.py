"""A transformation of this library whose state has optax's type and fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax import lax

from ..._dataclass import child, static
from ..._foreign_state import foreign_state
from ..._numerics import increment
from ..._transformation import (
    Child,
    GradientTransformation,
    State,
    transformation,
)
from ..._tree import PyTree, leaf_dtype
from ...wrappers._scheduled import ScheduledState, scheduled
from ...wrappers._wrapper import Wrapper


class Naming(Protocol):
    """How states are converted between this library and optax."""

    def to_ours(self, state: Any) -> Any:
        """The state of this library's transformation."""

    def to_optax(self, state: Any, before: Any) -> Any:
        """optax's state; ``before`` is the one before the update, initially None."""

    def accepts(self, state: Any) -> bool:
        """Whether ``state`` is an optax state for this naming."""


@dataclass(frozen=True)
class Fields:
    """Field by field.

    - ``theirs``, ``ours``: the two types; ``ours`` is None for ``()``.
    - ``names``: the field of ``ours`` for each field of ``theirs``, or None for an
      update count that ``ours`` does not have.
    - ``dtypes``: fields of ``theirs`` with their own dtype, which is kept.
    - ``counts``: fields of ``ours`` with counts that do not affect optax's rule.
    - ``moduli``: fields of ``theirs`` that hold squared moduli, of complex parameters
      as complex numbers; ``ours`` has them in both parts.
    """

    theirs: Any
    ours: Any = None
    names: tuple[str | None, ...] = ()
    dtypes: tuple[tuple[str, Any], ...] = ()
    counts: tuple[str, ...] = ()
    moduli: tuple[str, ...] = ()

    def accepts(self, state: Any) -> bool:
        """Also accepts optax's own class, and anything empty for an empty state."""
        if not self.theirs._fields:
            return isinstance(state, tuple) and not state
        return bool(type(state).__name__ == self.theirs.__name__)

    def to_ours(self, state: Any) -> Any:
        """The state of this library's transformation."""
        if self.ours is None:
            return ()
        values: dict[str, Any] = dict.fromkeys(self.ours._fields)
        values.update((field, jnp.zeros((), jnp.int32)) for field in self.counts)
        if self.ours is ScheduledState:
            values["inner"] = ()
        for theirs, ours in zip(self.theirs._fields, self.names, strict=True):
            if ours is not None:
                values[ours] = getattr(state, theirs)
                if theirs in self.moduli:
                    values[ours] = jax.tree.map(_in_both_parts, values[ours])
        return self.ours(**values)

    def to_optax(self, state: Any, before: Any) -> Any:
        """optax's state."""
        values = {}
        dtypes = dict(self.dtypes)
        for theirs, ours in zip(self.theirs._fields, self.names, strict=True):
            if ours is not None:
                values[theirs] = getattr(state, ours)
                if theirs in self.moduli:
                    values[theirs] = jax.tree.map(_in_real_part, values[theirs])
            elif before is None:
                values[theirs] = jnp.zeros((), jnp.int32)
            else:
                values[theirs] = increment(getattr(before, theirs))
            if before is None and dtypes.get(theirs) is not None:
                values[theirs] = jax.tree.map(
                    partial(lax.convert_element_type, new_dtype=dtypes[theirs]),
                    values[theirs],
                )
        return self.theirs(**values)


@dataclass(frozen=True)
class Converted:
    """By two functions, which can be pickled.

    - ``theirs``: optax's type of state.
    - ``from_optax``: makes a state of ours.
    - ``from_ours``: makes one of optax, from ours and optax's before the update.
    """

    theirs: Any
    from_optax: Callable[[Any], Any]
    from_ours: Callable[[Any, Any], Any]

    def accepts(self, state: Any) -> bool:
        """Also accepts optax's own class, and anything empty for an empty state."""
        if not getattr(self.theirs, "_fields", True):
            return isinstance(state, tuple) and not state
        return bool(type(state).__name__ == self.theirs.__name__)

    def to_ours(self, state: Any) -> Any:
        """The state of this library's transformation."""
        return self.from_optax(state)

    def to_optax(self, state: Any, before: Any) -> Any:
        """optax's state."""
        return self.from_ours(state, before)


@dataclass(frozen=True)
class Following:
    """Like ``naming``, for a transformation inside `of.scheduled`.

    ``count`` is optax's field that the schedules follow.
    """

    naming: Fields | Converted
    count: str

    def accepts(self, state: Any) -> bool:
        """What ``naming`` accepts."""
        return self.naming.accepts(state)

    def to_ours(self, state: Any) -> Any:
        """The state of this library's transformation."""
        return ScheduledState(getattr(state, self.count), self.naming.to_ours(state))

    def to_optax(self, state: Any, before: Any) -> Any:
        """optax's state."""
        return self.naming.to_optax(state.inner, before)


def named_and_scheduled(
    tx: Any, naming: Fields | Converted, count: str, *values: Any
) -> named:
    """``tx`` with optax's state; any of ``values`` may be a schedule."""
    if any(map(callable, values)):
        return named(scheduled(tx), Following(naming, count))
    return named(tx, naming)


@transformation
class named(Wrapper):
    """A transformation with optax's state; ``wide``: its fields like the updates.

    Updates narrower than these fields are computed in the fields' dtype and keep it, as
    in optax.
    """

    inner: GradientTransformation = child()
    naming: Any = static()
    wide: tuple[str, ...] = static(default=())

    def __repr__(self) -> str:
        return repr(self.inner)

    def state_of(self, child: Child, state: State) -> State:
        return self.naming.to_ours(state)

    def init(self, params: PyTree) -> State:
        return self.naming.to_optax(self.inner.init(params), None)

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        if not self.naming.accepts(state):
            raise foreign_state(self.inner, "the one of optax's name", state)
        for field in self.wide:
            updates = jax.tree.map(_widened, updates, getattr(state, field))
        updates, inner = self.inner.update(
            updates, self.naming.to_ours(state), params, **extra
        )
        return updates, self.naming.to_optax(inner, state)


def _in_both_parts(modulus: Any) -> Any:
    if not jnp.iscomplexobj(modulus):
        return modulus
    return lax.complex(modulus.real, modulus.real)


def _in_real_part(modulus: Any) -> Any:
    if not jnp.iscomplexobj(modulus):
        return modulus
    return lax.complex(modulus.real, jnp.zeros_like(modulus.real))


def _widened(update: Any, other: Any) -> Any:
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.promote_types(leaf_dtype(update), leaf_dtype(other))
    return lax.convert_element_type(update, dtype)
