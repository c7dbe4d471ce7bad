"""Hyperparameters in the state, as in `optax.inject_hyperparams`."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from ..._dataclass import static
from ..._numerics import increment
from ..._transformation import GradientTransformation, transformation
from ..._tree import PyTree
from ...schedules._function import as_schedule
from ...wrappers._scheduled import as_transformation
from . import _states as states, tree
from ._transformation import GradientTransformationExtraArgs, built


class WrappedSchedule:
    """A function of the count as a schedule with a state, which is the count."""

    def __init__(self, schedule_fn: Callable[[Any], Any]) -> None:
        self.schedule_fn = schedule_fn

    def init(self) -> states.WrappedScheduleState:
        """The state before the first update."""
        return states.WrappedScheduleState(jnp.zeros((), jnp.int32))

    def update(self, state: Any, **extra_args: Any) -> states.WrappedScheduleState:
        """The state after one more update."""
        return states.WrappedScheduleState(increment(state.count))

    def __call__(self, state: Any, **extra_args: Any) -> Any:
        return self.schedule_fn(state.count)


def _in_dtype(value: Any, dtype: Any) -> Any:
    """A number in ``dtype``, unless it is an array with its own dtype."""
    if isinstance(value, Array) and not value.weak_type:
        return value
    found = value.dtype if hasattr(value, "dtype") else type(value)
    is_float = jnp.issubdtype(found, jnp.floating)
    return jnp.asarray(value, dtype) if is_float else jnp.asarray(value)


@transformation
class _injected(GradientTransformation):
    """A transformation that is built at each update, from the numbers in its state."""

    numbers: dict[str, Any]
    schedules: dict[str, Any] = static()
    build: Callable[..., Any] = static()
    dtype: Any = static()

    def _built(self, hyperparams: dict[str, Any]) -> GradientTransformation:
        return as_transformation(self.build(**hyperparams))

    def _dtype(self, params: PyTree) -> Any:
        return tree.dtype(params, "highest") if self.dtype is None else self.dtype

    def _follow(
        self, numbers: dict[str, Any], counts: Any, dtype: Any, **extra: Any
    ) -> dict[str, Any]:
        values = {name: s(counts[name], **extra) for name, s in self.schedules.items()}
        return {k: _in_dtype(v, dtype) for k, v in {**numbers, **values}.items()}

    def init(self, params: PyTree) -> states.InjectStatefulHyperparamsState:
        counts = {name: s.init() for name, s in self.schedules.items()}
        hyperparams = self._follow(self.numbers, counts, self._dtype(params))
        return states.InjectStatefulHyperparamsState(
            jnp.zeros((), jnp.int32),
            hyperparams,
            counts,
            self._built(hyperparams).init(params),
        )

    def update(
        self,
        updates: PyTree,
        state: states.InjectStatefulHyperparamsState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, states.InjectStatefulHyperparamsState]:
        counts = state.hyperparams_states
        dtype = self._dtype(updates if params is None else params)
        hyperparams = self._follow(state.hyperparams, counts, dtype, **extra)
        updates, inner = self._built(hyperparams).update(
            updates, state.inner_state, params, **extra
        )
        after = {n: s.update(counts[n], **extra) for n, s in self.schedules.items()}
        return updates, states.InjectStatefulHyperparamsState(
            increment(state.count), hyperparams, after, inner
        )


class _Static(dict[str, Any]):
    """A dict as part of a structure: compared by identity."""

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__


def inject_hyperparams(
    inner_factory: Callable[..., Any],
    static_args: str | Iterable[str] = (),
    hyperparam_dtype: Any | None = None,
) -> Callable[..., GradientTransformationExtraArgs]:
    """A factory whose numbers are in the state: ``state.hyperparams["learning_rate"]``.

    It accepts this module's factories, `optifunc`'s and your own. Here, hyperparameters
    are leaves of a transformation anyway; keeping them in the state helps if a program,
    such as a Flax `TrainState`, keeps the transformation itself static.
    """
    names = {static_args} if isinstance(static_args, str) else {*static_args}
    signature = inspect.signature(inner_factory)
    if not names <= signature.parameters.keys():
        raise ValueError(
            f"static_args must be arguments of {inner_factory}, found {sorted(names)}; "
            f"known: {list(signature.parameters)}"
        )

    @functools.wraps(inner_factory)
    def injected(*args: Any, **kwargs: Any) -> GradientTransformationExtraArgs:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        schedules, numbers, others = _Static(), {}, {}
        for name, value in bound.arguments.items():
            if name in names or isinstance(value, bool):
                others[name] = value
            elif callable(value):
                has_state = hasattr(value, "init") and hasattr(value, "update")
                schedules[name] = (
                    value if has_state else WrappedSchedule(as_schedule(value))
                )
            elif isinstance(value, int | float | Array | np.ndarray | np.generic):
                numbers[name] = value
            else:
                others[name] = value
        build = functools.partial(inner_factory, **others)
        return built(_injected(numbers, schedules, build, hyperparam_dtype))

    return injected


def inject_stateful_hyperparams(
    inner_factory: Callable[..., Any],
    static_args: str | Iterable[str] = (),
    hyperparam_dtype: Any | None = None,
) -> Callable[..., GradientTransformationExtraArgs]:
    """The older name of `inject_hyperparams`."""
    warnings.warn(
        "inject_stateful_hyperparams is deprecated in optax: take inject_hyperparams",
        DeprecationWarning,
        stacklevel=2,
    )
    return inject_hyperparams(inner_factory, static_args, hyperparam_dtype)
