"""Transformations one after another."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from typing import Any, ClassVar

from .._dataclass import child
from .._foreign_state import foreign_state
from .._transformation import (
    Child,
    GradientTransformation,
    State,
    transformation,
)
from .._tree import PyTree
from ._wrapper import Wrapper, transformations_in


@transformation
class chain(Wrapper):
    """Apply transformations one after another: ``u = f_n(... f_2(f_1(g)))``.

    A member with a schedule for a hyperparameter follows it, with its own step counter
    (`scheduled`). Every member receives the same ``params`` and the same extra
    arguments.

    **Arguments:**

    - ``members``: transformations of this library, optax's, or any objects with
      ``init`` and ``update``. Without members, a chain is `identity`.
    - ``named``: the same by name instead of by position.

    **State:** for ``chain(a, b)``, a tuple of their states; for ``chain(clip=a,
    adam=b)``, a dict, so that you can look up a state by name:
    ``state["adam"].exp_avg``.

    Building one warns if members after an average of the parameters (`ema_parameters`)
    change the updates.

    **Raises:** `TypeError` for a member that is not a transformation, or if some
    members are named and others are not; `ValueError` at `update` for the state of
    another chain.
    """

    leaves_updates: ClassVar[bool] = True

    members: tuple[GradientTransformation, ...] | dict[str, GradientTransformation] = (
        child()
    )

    def __init__(self, *members: Any, **named: Any) -> None:
        if members and named:
            raise TypeError(
                f"chain takes members by position or by name, found {len(members)} "
                f"by position and {sorted(named)} by name"
            )
        # JAX would sort the keys of a plain dict, but the order matters.
        own = OrderedDict(named) if named else members
        object.__setattr__(self, "members", own)
        self.__post_init__()
        self._warn_of_order()

    def _warn_of_order(self) -> None:
        """Warn if a member's average is of parameters that training never has."""
        inside = [
            (c.transformation, *transformations_in(c.transformation))
            for c in self.children()
        ]
        changing = ""
        for txs in reversed(inside):
            early = next((tx for tx in txs if tx.needs_final_updates), None)
            if early is not None and changing:
                name = type(early).__name__
                warnings.warn(
                    f"{name} averages parameters that training never has, because "
                    f"{changing} changes the updates after it; make {name} the last "
                    "member of the chain",
                    UserWarning,
                    stacklevel=4,
                )
            changes = next((tx for tx in txs if not tx.leaves_updates), None)
            changing = changing if changes is None else type(changes).__name__

    def __repr__(self) -> str:
        if isinstance(self.members, dict):
            return f"chain({', '.join(f'{k}={v!r}' for k, v in self.members.items())})"
        return f"chain({', '.join(map(repr, self.members))})"

    def state_of(self, child: Child, state: State) -> State:
        return state[child.key]

    def init(self, params: PyTree) -> State:
        if isinstance(self.members, dict):
            return {name: tx.init(params) for name, tx in self.members.items()}
        return tuple(tx.init(params) for tx in self.members)

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        children = self.children()
        named = isinstance(self.members, dict)
        fits = type(state) is (dict if named else tuple)
        keys = {member.key for member in children}
        if not fits or {*(state if named else range(len(state)))} != keys:
            members = ", ".join(type(c.transformation).__name__ for c in children)
            wanted = sorted(keys) if named else f"{len(children)} ({members})"
            kind = "a dict" if named else "a tuple"
            raise foreign_state(self, f"{kind} of {wanted}", state)
        states = {}
        for _, key, tx in children:
            updates, states[key] = tx.update(updates, state[key], params, **extra)
        return updates, states if named else tuple(states.values())
