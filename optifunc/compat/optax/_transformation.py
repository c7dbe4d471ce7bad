"""optax's pair of functions, as a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, Self, TypeAlias

from jax.typing import ArrayLike

from ..._dataclass import child
from ..._foreign import foreign
from ..._transformation import (
    Child,
    GradientTransformation as Transformation,
    State,
    transformation,
)
from ..._tree import PyTree
from ...wrappers._chain import chain as chained
from ...wrappers._wrapper import Wrapper

Params: TypeAlias = PyTree
Updates: TypeAlias = PyTree
OptState: TypeAlias = PyTree
Schedule: TypeAlias = Callable[[ArrayLike], Any]
ScalarOrSchedule: TypeAlias = ArrayLike | Schedule
MaskOrFn: TypeAlias = PyTree | Callable[[Params], PyTree] | None


class TransformInitFn(Protocol):
    """The type of ``init``."""

    def __call__(self, params: Params) -> OptState: ...


class TransformUpdateFn(Protocol):
    """The type of ``update``."""

    def __call__(
        self, updates: Updates, state: OptState, params: Params | None = None
    ) -> tuple[Updates, OptState]: ...


class TransformUpdateExtraArgsFn(Protocol):
    """The type of ``update`` with extra arguments."""

    def __call__(
        self,
        updates: Updates,
        state: OptState,
        params: Params | None = None,
        **extra_args: Any,
    ) -> tuple[Updates, OptState]: ...


@transformation
class GradientTransformation(Wrapper):
    """A pair of functions ``(init, update)``; the type of everything built here.

    It is a value, like every transformation in this library: its hyperparameters are
    leaves. It can also be used as a tuple, and you can set attributes on it, which its
    copies (by `jax.jit`, ``_replace``) do not have.
    """

    inner: Transformation = child()

    def __init__(self, init: TransformInitFn, update: TransformUpdateFn) -> None:
        object.__setattr__(self, "inner", foreign(init, update))

    def __getitem__(self, index: Any) -> Any:
        return (self.init, self.update)[index]

    def __len__(self) -> int:
        return 2

    def _asdict(self) -> dict[str, Any]:
        return {"init": self.init, "update": self.update}

    def _replace(self, **functions: Any) -> Self:
        return type(self)(**{**self._asdict(), **functions})

    def state_of(self, child: Child, state: State) -> State:
        return state

    def init(self, params: PyTree) -> State:
        return self.inner.init(params)

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        return self.inner.update(updates, state, params, **extra)


@transformation
class GradientTransformationExtraArgs(GradientTransformation):
    """The same; here every ``update`` takes extra arguments."""

    def __init__(
        self, init: TransformInitFn, update: TransformUpdateExtraArgsFn
    ) -> None:
        super().__init__(init, update)


def _hang(self: Any, name: str, value: Any) -> None:
    if name in ("inner", "init", "update"):
        raise AttributeError(
            f"{name!r} cannot be set; _replace({name}=...) returns another pair"
        )
    object.__setattr__(self, name, value)


# Up to this point, the two classes reject all changes, as values do.
for _cls in (GradientTransformation, GradientTransformationExtraArgs):
    _cls.__setattr__ = _hang  # type: ignore[method-assign]


def built(*members: Any) -> GradientTransformationExtraArgs:
    """One transformation of this library, or a chain of several, as optax's pair."""
    inner = members[0] if len(members) == 1 else chained(*members)
    pair = object.__new__(GradientTransformationExtraArgs)
    object.__setattr__(pair, "inner", inner)
    Wrapper.__post_init__(pair)
    return pair
