"""Transformations one after another."""

import dataclasses
import inspect
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from .._dataclass import static
from .._hyperparameters import with_schedules
from .._transformation import GradientTransformation, State, transformation
from .._tree import PyTree


def accepted_arguments(
    function: Callable[..., Any], arguments: dict[str, Any]
) -> dict[str, Any]:
    """Those of the named ``arguments`` that a function from elsewhere takes."""
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return arguments
    return {name: arguments[name] for name in arguments if name in parameters}


@transformation
class wrapped(GradientTransformation):
    """A pair of functions from elsewhere, such as an optax transformation.

    Its hyperparameters are hidden in the functions, so it has no leaves.
    """

    init_fn: Callable[..., Any] = static()
    update_fn: Callable[..., Any] = static()

    def init(self, params: PyTree) -> State:
        return self.init_fn(params)

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        extra = accepted_arguments(self.update_fn, extra)
        new_updates, new_state = self.update_fn(updates, state, params, **extra)
        return new_updates, new_state


def as_transformation(tx: Any) -> GradientTransformation:
    """``tx`` as one of our transformations.

    **Arguments:** ``tx``: a transformation of this library, which is returned as it
    is (inside `scheduled`, if one of its hyperparameters is a schedule), or any object
    with functions ``init(params)`` and ``update(updates, state, params)``, such as an
    optax transformation.

    **Raises:** `TypeError` for anything else.
    """
    # A subclass that lacks the decorator has no fields: it is a pair of functions.
    if isinstance(tx, GradientTransformation) and dataclasses.is_dataclass(tx):
        return with_schedules(tx)
    init, update = getattr(tx, "init", None), getattr(tx, "update", None)
    if callable(init) and callable(update) and not isinstance(tx, type):
        return wrapped(init, update)
    raise TypeError(
        "expected a gradient transformation (an object with init and update), "
        f"found {tx!r}"
    )


@transformation
class chain(GradientTransformation):
    """Apply transformations one after another: ``u = f_n(... f_2(f_1(g)))``.

    ``chain(a, b)`` has a tuple of their states as its state. ``chain(clip=a, adam=b)``
    has a dict, so that a state is addressed by name: ``state["adam"].exp_avg``.
    Members are transformations of this library, optax's, or any object with
    ``init`` and ``update``; an empty chain is `identity`.

    A member with a schedule in the place of a hyperparameter follows it, with a step
    counter of its own (`scheduled`). Every member receives the same ``params`` and
    the same extra arguments.

    **Raises:** `TypeError` for a member that is no transformation, or if some members
    are named and others are not; `ValueError` at `update` for the state of another
    chain.
    """

    members: tuple[GradientTransformation, ...] | dict[str, GradientTransformation]

    def __init__(self, *members: Any, **named: Any) -> None:
        if members and named:
            raise TypeError(
                f"chain takes members by position or by name, found {len(members)} "
                f"by position besides {sorted(named)}"
            )
        # JAX would sort the keys of a plain dict, and the order has a meaning.
        own: Any = (
            OrderedDict((name, as_transformation(tx)) for name, tx in named.items())
            if named
            else tuple(map(as_transformation, members))
        )
        object.__setattr__(self, "members", own)

    def __repr__(self) -> str:
        if isinstance(self.members, dict):
            return f"chain({', '.join(f'{k}={v!r}' for k, v in self.members.items())})"
        return f"chain({', '.join(map(repr, self.members))})"

    def init(self, params: PyTree) -> State:
        if isinstance(self.members, dict):
            return {name: tx.init(params) for name, tx in self.members.items()}
        return tuple(tx.init(params) for tx in self.members)

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        named = isinstance(self.members, dict)
        members: dict[Any, GradientTransformation] = (
            self.members
            if isinstance(self.members, dict)
            else dict(enumerate(self.members))
        )
        fits = type(state) is (dict if named else tuple)
        if not fits or {*(state if named else range(len(state)))} != {*members}:
            raise ValueError(
                f"this state is not one of a chain of {len(members)} members "
                f"({', '.join(map(str, members))}); found {_described(state)}"
            )
        states = {}
        for key, tx in members.items():
            updates, states[key] = tx.update(updates, state[key], params, **extra)
        return updates, states if named else tuple(states.values())


def _described(state: Any) -> str:
    if isinstance(state, dict):
        return f"a dict of {sorted(state)}"
    if isinstance(state, tuple):
        return f"a {type(state).__name__} of {len(state)}"
    return f"a {type(state).__name__}"
