"""Distance over gradients: DoG and L-DoG."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._numerics import as_scalar, increment, sqrt
from .._placement import copied, wide_zeros_like
from .._state import PerParameter, Restarting, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree, global_norm
from .._way import compensated, way_back
from ..transforms._scaling import scale_by_learning_rate
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory
from ._options import check_option


class StepByDogState(NamedTuple):
    """State of `step_by_dog`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``distance``: a float scalar, the largest distance so far, 0 before the first
      update; None with ``layerwise``.
    - ``sum_sq``: the sum of the gradients' squared norms; None with ``layerwise``.
    - ``distances``: with ``layerwise``, the distance of each parameter, else None.
    - ``sums_sq``: with ``layerwise``, the sum for each parameter, else None.
    - ``p0``: the initial parameters.
    - ``compensation``: the accumulated rounding error of the updates so far.
    """

    step: Shared
    distance: Shared | None
    sum_sq: Shared | None
    distances: PerParameter | None
    sums_sq: PerParameter | None
    p0: PerParameter
    compensation: Restarting


@transformation
class step_by_dog(GradientTransformation):
    """Steps in proportion to the distance so far over the root of squared gradients.

    The rule: see `dog`.

    **Arguments:**

    - ``lr``, ``reps_rel``, ``init_distance``, ``init_eta``, ``eps``, ``layerwise``: see
      `dog`.

    **State:** `StepByDogState`.

    **Raises:** `ValueError` for a number out of range, for more than one of the three
    beginnings, and at `update` if ``params`` is missing.
    """

    lr: Value = 1.0
    reps_rel: Value = 1e-6
    init_distance: Value | None = None
    init_eta: Value | None = None
    eps: Value = 1e-8
    layerwise: bool = static(default=False)

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_range("reps_rel", self.reps_rel, above=0)
        check_range("eps", self.eps, at_least=0)
        for name in ("init_distance", "init_eta"):
            if (value := getattr(self, name)) is not None:
                check_range(name, value, above=0)
        if self.init_distance is not None and self.init_eta is not None:
            raise ValueError(
                "init_distance and init_eta are two ways to begin, found both: "
                f"{self.init_distance!r} and {self.init_eta!r}; pass only one of them"
            )

    def _first_distance(self, norm: Array) -> Array:
        if self.init_eta is not None:
            return jnp.zeros_like(norm)
        if self.init_distance is not None:
            return jnp.full_like(norm, as_scalar(self.init_distance))
        return as_scalar(self.reps_rel) * (1 + norm)

    def init(self, params: PyTree) -> StepByDogState:
        p0 = copied(params)
        distance = sum_sq = distances = sums_sq = None
        if self.layerwise:
            distances = jax.tree.map(jnp.zeros_like, self._norms(p0))
            sums_sq = jax.tree.map(jnp.zeros_like, distances)
        else:
            distance, sum_sq = (jnp.zeros((), jnp.result_type(float)) for _ in "rs")
        return StepByDogState(
            step=jnp.zeros((), jnp.int32),
            distance=distance,
            sum_sq=sum_sq,
            distances=distances,
            sums_sq=sums_sq,
            p0=p0,
            compensation=wide_zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: StepByDogState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByDogState]:
        params = require_params(params, updates, "dog")
        check_option(self, "layerwise", state.distances, state.p0)
        way = way_back(state.compensation, state.p0, params)
        # Without layers, the numbers of all parameters are trees with one leaf.
        names = ("distances", "sums_sq") if self.layerwise else ("distance", "sum_sq")
        distance, sum_sq = (getattr(state, name) for name in names)
        first = jax.tree.map(self._first_distance, self._norms(state.p0))
        distance = jax.tree.map(_farthest, distance, first, self._norms(way))
        sum_sq = jax.tree.map(_plus_square, sum_sq, self._norms(updates))
        size = jax.tree.map(partial(self._size, state.step), distance, sum_sq)
        if self.layerwise:
            updates = jax.tree.map(_scaled_down, updates, size)
        else:
            updates = _scaled_down(updates, size)
        return updates, state._replace(
            step=increment(state.step),
            compensation=compensated(state.compensation, params, updates),
            **dict(zip(names, (distance, sum_sq), strict=True)),
        )

    def _norms(self, tree: PyTree) -> PyTree:
        return jax.tree.map(global_norm, tree) if self.layerwise else global_norm(tree)

    def _size(self, step: Array, distance: Array, sum_sq: Array) -> Array:
        """The factor of a gradient."""
        size = distance / sqrt(sum_sq + as_scalar(self.eps))
        if self.init_eta is not None:
            size = jnp.where(step == 0, as_scalar(self.init_eta), size)
        return as_scalar(self.lr) * size


def _farthest(before: Array, first: Array, now: Array) -> Array:
    return jnp.maximum(jnp.maximum(before, first), now)


def _plus_square(total: Array, norm: Array) -> Array:
    return total + norm**2


def _scaled_down(tree: PyTree, size: Array) -> PyTree:
    return scale_by_learning_rate(size).apply(tree)


@factory
def dog(
    lr: Hyperparameter = 1.0,
    reps_rel: Hyperparameter = 1e-6,
    init_distance: Hyperparameter | None = None,
    init_eta: Hyperparameter | None = None,
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    layerwise: bool = False,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Gradient descent with the step size "distance over gradients".

    ::

        g = g + weight_decay * p
        r = max(r, ||p - p0||)
        S = S + ||g||^2
        u = -lr * r / sqrt(S + eps) * g

    where ``p0`` are the initial parameters and the norms are over all parameters
    together or, with ``layerwise`` (L-DoG), over each one separately. ``r`` starts as
    ``reps_rel * (1 + ||p0||)``, or as ``init_distance``, or such that the first step is
    ``-lr * init_eta * g``.

    The step size needs no tuning, but the iterates need averaging: evaluate
    `ema_parameters` or `average_parameters`, which `eval_params` finds::

        tx = of.chain(of.dog(), of.ema_parameters(0.999))

    **Arguments:**

    - ``lr``: the factor of the step size; leave it at 1.
    - ``reps_rel``: the first distance, relative to the parameters' norm.
    - ``init_distance``: the first distance itself, in place of ``reps_rel``.
    - ``init_eta``: the size of the first step, in place of both.
    - ``eps``: added to the sum of squares.
    - ``weight_decay``: L2 penalty.
    - ``layerwise``: a distance and a sum for each parameter.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `StepByDogState`: two numbers a parameter.

    **Complex parameters:** pass the conjugate of `jax.grad`'s result, as for `sgd`.

    **Raises:** `ValueError` for a number out of range, for both ``init_distance`` and
    ``init_eta``, and at `update` if ``params`` is missing.

    **Source:** Ivgi, Hinder and Carmon, "DoG is SGD's Best Friend: A Parameter-Free
    Dynamic Step Size Schedule", 2023,
    [arXiv:2302.12022](https://arxiv.org/abs/2302.12022).
    """
    direction = step_by_dog(lr, reps_rel, init_distance, init_eta, eps, layerwise)
    return assemble(
        direction,
        lr=None,
        weight_decay=weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
