"""Measurements of gradients, updates and parameters, kept in the state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._collectives import AxisName, check_axis_name, largest_over_devices
from .._dataclass import child, static
from .._foreign import accepted_arguments
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._numerics import as_scalar, increment, one_minus_power
from .._placement import zeros_for, zeros_like
from .._state import Shared
from .._transformation import GradientTransformation, State, transformation
from .._tree import PyTree, global_norm
from ._wrapper import Wrapper

Measure: TypeAlias = Callable[..., PyTree]


def _grad_norm(grads: PyTree, axis_name: AxisName) -> Array:
    return global_norm(grads, axis_name)


def _update_norm(updates: PyTree, axis_name: AxisName) -> Array:
    return global_norm(updates, axis_name)


def _param_norm(params: PyTree, axis_name: AxisName) -> Array:
    return global_norm(params, axis_name)


def _update_to_param(updates: PyTree, params: PyTree, axis_name: AxisName) -> Array:
    """The ratio of two norms, or 0 if the parameters are 0."""
    part, whole = global_norm(updates, axis_name), global_norm(params, axis_name)
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0)


def _grad_max(grads: PyTree, axis_name: AxisName) -> Array:
    sizes = (jnp.max(jnp.abs(g), initial=0) for g in jax.tree.leaves(grads))
    return largest_over_devices(sizes, axis_name)


def _is_shorter(grads: PyTree, updates: PyTree, axis_name: AxisName) -> Array:
    """1 if the updates are shorter than the gradients, by more than rounding."""
    before, after = global_norm(grads, axis_name), global_norm(updates, axis_name)
    return as_scalar(after < (1 - 1e-5) * before)


MEASURES: Mapping[str, Measure] = {
    "grad_norm": _grad_norm,
    "update_norm": _update_norm,
    "param_norm": _param_norm,
    "update_to_param": _update_to_param,
    "grad_max": _grad_max,
    "clipped": _is_shorter,
}


class MonitorState(NamedTuple):
    """State of `monitor`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``measured``: a dict from names to the measurements of the last update, or their
      averages.
    - ``inner``: the inner transformation's state.
    """

    step: Shared
    measured: State
    inner: State


@elementwise()
def _moved_measurement(measured: Array, new: Array, *, weight: Array) -> Array:
    # `where` instead of a sum, because non-finite values must not stay.
    return jnp.where(weight < 1, measured + weight * (new - measured), new)


@transformation
class monitor(Wrapper):
    """Keep measurements of a transformation's gradients and updates in its state.

    ::

        tx = of.monitor(of.adamw(1e-3))
        ...
        of.find_in_state(state, "grad_norm")
        of.find_in_state(state, of.MonitorState).measured  # all of them

    The updates are those of ``inner``. The state has the same structure from `init` on,
    so it works with `jax.lax.scan`, and nothing leaves the device until it is read.

    **Arguments:**

    - ``inner``: a transformation.
    - ``measures``: names of the measures below; or a dict from your own names to
      measures. A measure is one of those names, or a function that returns a float
      array or a tree of them. It may have these arguments: ``grads`` (the input),
      ``updates`` (the output), ``params`` and ``axis_name``.

        - ``"grad_norm"``, ``"update_norm"``, ``"param_norm"``: global norms;
        - ``"update_to_param"``: the ratio of the last two;
        - ``"grad_max"``: the largest size of an element;
        - ``"clipped"``: 1 if the updates are shorter than the gradients, else 0. With
                  ``decay``, it is the fraction of updates that a clipping ``inner``
                  shortened.

    - ``decay``: with 0, keep the last measurement; otherwise, in [0, 1), a debiased
      exponential moving average.
    - ``axis_name``: the axis of the mesh over which leaves are split, inside
      `jax.shard_map`; see `global_norm`. Without it, each device measures its part.
      Your own function receives it if it names it, but None in `init`, which may run
      outside.

    Functions are static: a newly created one triggers recompilation. An update without
    ``params`` passes None to the measures that name them.

    **State:** `MonitorState`; measurements are 0 before the first update.

    **Raises:** `ValueError` for an unknown measure and ``decay`` out of range,
    `TypeError` for a measure that is neither a name nor a function and for an
    ``axis_name`` that is not a name.
    """

    leaves_updates: ClassVar[bool] = True

    inner: GradientTransformation = child()
    measures: Any = static(
        default=("grad_norm", "update_norm", "param_norm", "update_to_param")
    )
    decay: Value = 0.0
    axis_name: AxisName = static(default=None)

    def __post_init__(self) -> None:
        check_range("decay", self.decay, at_least=0, below=1)
        check_axis_name(self.axis_name)
        object.__setattr__(self, "measures", _named(self.measures))
        super().__post_init__()

    def _measure(
        self,
        grads: PyTree,
        updates: PyTree,
        params: PyTree | None,
        axis_name: AxisName,
    ) -> dict[str, PyTree]:
        known = {
            "grads": grads,
            "updates": updates,
            "params": params,
            "axis_name": axis_name,
        }
        return {
            name: measure(**accepted_arguments(measure, known))
            for name, measure in self.measures
        }

    def init(self, params: PyTree) -> MonitorState:
        zeros = zeros_like(params)
        form = self._measure(zeros, zeros, zeros, None)

        def nothing(measured: Array) -> Array:
            # A scalar is shared, and placed where later steps need it.
            is_scalar = jnp.ndim(measured) == 0
            return jnp.zeros((), measured.dtype) if is_scalar else zeros_for(measured)

        return MonitorState(
            jnp.zeros((), jnp.int32),
            jax.tree.map(nothing, form),
            self.inner.init(params),
        )

    def update(
        self,
        updates: PyTree,
        state: MonitorState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, MonitorState]:
        grads = updates
        updates, inner = self.inner.update(grads, state.inner, params, **extra)
        step = increment(state.step)
        new = self._measure(grads, updates, params, self.axis_name)
        weight = as_scalar(1 - self.decay) / one_minus_power(self.decay, step)
        measured = _moved_measurement(state.measured, new, weight=weight)
        return updates, MonitorState(step, measured, inner)


def _named(measures: Any) -> tuple[tuple[str, Measure], ...]:
    """Measures by name, in a form that can be a static field."""
    if isinstance(measures, str) or not isinstance(measures, Iterable):
        raise TypeError(
            f"measures must be a sequence of names or a dict, found {measures!r}"
        )
    if not isinstance(measures, Mapping):
        measures = [x if isinstance(x, tuple) else (x, x) for x in measures]
    pairs = dict(measures)
    return tuple((name, _as_measure(name, x)) for name, x in pairs.items())


def _as_measure(name: str, measure: Any) -> Measure:
    if isinstance(measure, str):
        if measure not in MEASURES:
            raise ValueError(
                f"unknown measure {measure!r}; known: {sorted(MEASURES)}, or a dict "
                "from names to functions"
            )
        return MEASURES[measure]
    if not callable(measure):
        raise TypeError(
            f"the measure {name!r} must be a name or a function, found {measure!r}"
        )
    function: Measure = measure
    return function
