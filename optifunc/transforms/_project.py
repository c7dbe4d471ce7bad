"""Parameters that stay in a set."""

from __future__ import annotations

from collections.abc import Callable

from jax import Array

from .._dataclass import static
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._rounding import widened
from .._transformation import Stateless, require_params, transformation
from .._tree import PyTree


@elementwise(inline=True)
def _moved_by(params: Array, updates: Array) -> Array:
    return params + updates


@elementwise(inline=True)
def _way(goal: Array, params: Array) -> Array:
    return goal - params


@transformation
class project(Stateless):
    """Make the step end in a set, by projection: ``u = projection(p + u) - p``.

    Put it at the end of a chain::

        tx = of.chain(of.sgd(0.1), of.project(of.projections.simplex))
        tx = of.chain(of.adam(), of.project(of.projections.l2_ball, {"scale": 3.0}))

    The parameters that it sees count as one vector, even if the projection is onto a
    ball; select them with `masked` or `partition`. After `apply_updates`, they are in
    the set up to rounding. Updates of parameters narrower than float32 are in float32,
    so that the sum is rounded once.

    **Arguments:**

    - ``projection``: a function of a tree, one of `optifunc.projections` or another
      that returns a tree like its argument.
    - ``arguments``: its other arguments by name, a dict. Numbers may be schedules.

    **State:** ``()``.

    **Raises:** `TypeError` if ``projection`` is not a function or ``arguments`` not a
    dict; `ValueError` at `update` if ``params`` is missing or the projection returns
    another structure or shape.
    """

    projection: Callable[..., PyTree] = static()
    arguments: dict[str, Value] | None = None

    def __post_init__(self) -> None:
        if not callable(self.projection):
            raise TypeError(
                f"projection must be a function of a tree, found {self.projection!r}"
            )
        if not isinstance(self.arguments, dict | None):
            raise TypeError(
                "arguments must be a dict of the projection's arguments by name, "
                f"found {self.arguments!r}"
            )

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        params = require_params(params, updates, "project")
        moved = _moved_by(widened(params), updates)
        return _way(self.projection(moved, **(self.arguments or {})), params)
