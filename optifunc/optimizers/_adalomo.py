"""AdaLomo."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_pair, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import leafwise
from .._numerics import first_moment, increment
from .._state import NonNegative, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree, check_real, check_shapes
from ..wrappers._selection import Mask
from ._adafactor import adafactor_weight, root_mean_square
from ._assemble import assemble
from ._decay_inside import check_mask_fits, decaying, static_mask
from ._factory import factory
from ._rows_and_columns import factored_rsqrt, zeros_like_vectors, zeros_without_axis


class ScaleByAdalomoState(NamedTuple):
    """State of `scale_by_adalomo`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg_sq_row``, ``exp_avg_sq_col``: for each parameter with two or more axes,
      the averages of the squares' means over the last axis and over the one before it;
      None for the others.
    - ``exp_avg_sq``: the average of the squares for each parameter with fewer axes;
      None for the others.
    """

    step: Shared
    exp_avg_sq_row: NonNegative
    exp_avg_sq_col: NonNegative
    exp_avg_sq: NonNegative


@leafwise(outputs=4)
def _adalomo(
    updates: Array,
    row: Array | None,
    column: Array | None,
    exp_avg_sq: Array | None,
    params: Array,
    decayed: Array | None,
    *,
    weight: Array,
    eps1: Array,
    eps2: Array,
    clip_threshold: Array,
    weight_decay: Array,
) -> tuple[Array | None, ...]:
    if updates.size == 0:
        return updates, row, column, exp_avg_sq
    squares = updates * updates + eps1
    if row is not None and column is not None:
        row = first_moment(row, jnp.mean(squares, -1), weight)
        column = first_moment(column, jnp.mean(squares, -2), weight)
        direction = updates * factored_rsqrt(row, column)
    else:
        assert exp_avg_sq is not None
        exp_avg_sq = first_moment(exp_avg_sq, squares, weight)
        direction = updates * lax.rsqrt(exp_avg_sq)
    direction /= jnp.maximum(1, root_mean_square(direction) / clip_threshold)
    if decayed is not None:
        direction += weight_decay * decayed
    size = jnp.maximum(eps2, root_mean_square(params))
    return size * direction, row, column, exp_avg_sq


@transformation
class scale_by_adalomo(GradientTransformation):
    """The direction of `adalomo`.

    **Arguments:**

    - ``eps``, ``clip_threshold``, ``decay_rate``, ``weight_decay``, ``mask``: see
      `adalomo`.

    **State:** `ScaleByAdalomoState`.

    **Raises:** what `adalomo` does.
    """

    eps: tuple[Value, Value] = (1e-30, 1e-3)
    clip_threshold: Value = 1.0
    decay_rate: Value = -0.8
    weight_decay: Value = 0.0
    mask: Any = static(default=None)

    def __post_init__(self) -> None:
        check_pair("eps", self.eps)
        check_range("eps[0]", self.eps[0], above=0)
        check_range("eps[1]", self.eps[1], at_least=0)
        check_range("clip_threshold", self.clip_threshold, above=0)
        check_range("decay_rate", self.decay_rate, at_most=0)
        check_range("weight_decay", self.weight_decay, at_least=0)
        object.__setattr__(self, "mask", static_mask(self.mask))

    def init(self, params: PyTree) -> ScaleByAdalomoState:
        check_real(params, ("adalomo", "parameters"))
        check_mask_fits(self.mask, params)
        return ScaleByAdalomoState(
            step=jnp.zeros((), jnp.int32),
            exp_avg_sq_row=zeros_without_axis(params, -1),
            exp_avg_sq_col=zeros_without_axis(params, -2),
            exp_avg_sq=zeros_like_vectors(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByAdalomoState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByAdalomoState]:
        params = require_params(params, updates, "adalomo")
        check_real(updates, ("adalomo", "gradients"))
        check_shapes(updates, params, ("updates", "params"))
        step = increment(state.step)
        updates, *trees = _adalomo(
            updates,
            *state[1:],
            params,
            decaying(params, self.mask),
            weight=adafactor_weight(step, self.decay_rate),
            eps1=self.eps[0],
            eps2=self.eps[1],
            clip_threshold=self.clip_threshold,
            weight_decay=self.weight_decay,
        )
        return updates, ScaleByAdalomoState(step, *trees)


@factory
def adalomo(
    lr: Hyperparameter = 1e-3,
    eps: tuple[Hyperparameter, Hyperparameter] = (1e-30, 1e-3),
    clip_threshold: Hyperparameter = 1.0,
    decay_rate: Hyperparameter = -0.8,
    weight_decay: Hyperparameter = 0.0,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """AdaLomo: steps like Adafactor's, in proportion to the parameter's size.

    ::

        w = t^decay_rate
        s = g^2 + eps[0]
        R = (1 - w) * R + w * mean(s, columns)                   (two or more axes)
        C = (1 - w) * C + w * mean(s, rows)
        V = R C / mean(R)
        V = (1 - w) * V + w * s                                  (fewer axes)
        d = g / sqrt(V)
        d = d / max(1, RMS(d) / clip_threshold)
        u = -lr * max(eps[1], RMS(p)) * (d + weight_decay * p)

    ``RMS`` is the root of the mean of the squares of a leaf's elements. A step changes
    each leaf by at most the fraction ``lr``. Axes before the last two are batch axes.

    The authors update each parameter in the middle of the backward pass, so that its
    gradient can be freed immediately. That saves memory in the training step, but not
    here: the compiler of a jitted JAX step decides what is freed when.

    **Arguments:**

    - ``lr``: the learning rate, in units of a parameter's size.
    - ``eps``: the number added to the squares, above 0, and a lower bound on a
      parameter's size, so that parameters that start at 0 can move.
    - ``clip_threshold``: the RMS of ``d`` above which it is clipped.
    - ``decay_rate``: the power of ``t``, at most 0, with which the newest squares are
      weighted.
    - ``weight_decay``: decoupled decay, in units of the step size
      ``lr * max(eps[1], RMS(p))``.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByAdalomoState`, in the parameters' dtypes: for a leaf of shape
    ``[..., n, m]`` averages of shapes ``[..., n]`` and ``[..., m]``.

    **Raises:** `ValueError` for a number out of range, for a gradient of another shape
    and, at `update`, if ``params`` is missing; `TypeError` for complex parameters and
    for sparse gradients.

    **Source:** Lv, Yan, Guo, Lv and Qiu, "AdaLomo: Low-memory Optimization with
    Adaptive Learning Rate", 2023,
    [arXiv:2310.10195](https://arxiv.org/abs/2310.10195).
    """
    return assemble(
        scale_by_adalomo(eps, clip_threshold, decay_rate, weight_decay, mask),
        lr=lr,
        maximize=maximize,
    )
