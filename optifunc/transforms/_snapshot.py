"""The updates at one point of a chain, kept in the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

from .._dataclass import static
from .._placement import copied, zeros_like
from .._transformation import GradientTransformation, State, transformation
from .._tree import PyTree


class SnapshotState(NamedTuple):
    """State of `snapshot`.

    **Fields:**

    - ``measured``: a dict with one entry, the measurement at its name.
    """

    measured: State


def _itself(updates: PyTree) -> PyTree:
    return updates


@transformation
class snapshot(GradientTransformation):
    """Keep the updates at this point of a chain, by name; leave them unchanged.

    ::

        tx = of.chain(of.scale_by_adam(), of.snapshot("direction"), of.scale(-1e-3))
        ...
        direction = of.find_in_state(state, "direction")

    `monitor` compares the input with the output.

    **Arguments:**

    - ``name``: the name of the measurement, for `find_in_state`.
    - ``measure``: a function of the updates that returns an array or a tree of arrays,
      by default the updates themselves (which doubles their memory). It is static: a
      newly created function triggers recompilation.

    **State:** `SnapshotState`, whose measurement is 0 before the first update.

    **Raises:** `TypeError` if ``name`` is not a string or ``measure`` is not a
    function.
    """

    leaves_updates: ClassVar[bool] = True

    name: str = static()
    measure: Callable[[PyTree], PyTree] = static(default=_itself)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"name must be a string, found {self.name!r}")
        if not callable(self.measure):
            raise TypeError(f"measure must be a function, found {self.measure!r}")

    def init(self, params: PyTree) -> SnapshotState:
        # In the form of a measurement, so that the state can go through a scan.
        form = self.measure(zeros_like(params))
        return SnapshotState({self.name: zeros_like(form)})

    def update(
        self,
        updates: PyTree,
        state: SnapshotState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, SnapshotState]:
        # A copy, because the state may be donated and the updates not.
        return updates, SnapshotState({self.name: copied(self.measure(updates))})
