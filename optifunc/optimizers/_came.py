"""CAME."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_pair, check_range
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import leafwise
from .._numerics import first_moment, sqrt
from .._placement import zeros_like
from .._state import Keeps, NonNegative, PerParameter
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, check_real, check_shapes
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory
from ._rows_and_columns import factored_rsqrt, zeros_like_vectors, zeros_without_axis


class ScaleByCameState(NamedTuple):
    """State of `scale_by_came`.

    **Fields:**

    - ``exp_avg``: the average of each parameter's clipped directions.
    - ``exp_avg_sq_row``, ``exp_avg_sq_col``: for each parameter with two or more axes,
      the averages of the squares' means over the last axis and over the one before it;
      None for the others.
    - ``exp_avg_res_row``, ``exp_avg_res_col``: the same for the squared distances of
      the directions from their average.
    - ``exp_avg_sq``: the average of the squares for each parameter with fewer axes;
      None for the others.
    """

    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq_row: NonNegative
    exp_avg_sq_col: NonNegative
    exp_avg_res_row: NonNegative
    exp_avg_res_col: NonNegative
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]


@leafwise(outputs=7)
def _came(
    updates: Array,
    exp_avg: Array,
    row: Array | None,
    column: Array | None,
    residual_row: Array | None,
    residual_column: Array | None,
    exp_avg_sq: Array | None,
    *,
    eps1: Array,
    eps2: Array,
    clip_threshold: Array,
    weight1: Array,
    weight2: Array,
    weight3: Array,
) -> tuple[Array | None, ...]:
    if updates.size == 0:
        new = row, column, residual_row, residual_column, exp_avg_sq
        return updates, exp_avg, *new
    squares = updates * updates + eps1
    if row is not None and column is not None:
        row = first_moment(row, jnp.mean(squares, -1), weight2)
        column = first_moment(column, jnp.mean(squares, -2), weight2)
        direction = updates * factored_rsqrt(row, column)
    else:
        assert exp_avg_sq is not None
        exp_avg_sq = first_moment(exp_avg_sq, squares, weight2)
        direction = updates / sqrt(exp_avg_sq)
    rms = sqrt(jnp.mean(direction * direction))
    direction /= jnp.maximum(1, rms / clip_threshold)
    updates = exp_avg = first_moment(exp_avg, direction, weight1)
    if residual_row is not None and residual_column is not None:
        residual = (direction - exp_avg) ** 2 + eps2
        residual_row = first_moment(residual_row, jnp.mean(residual, -1), weight3)
        residual_column = first_moment(residual_column, jnp.mean(residual, -2), weight3)
        updates = exp_avg * factored_rsqrt(residual_row, residual_column)
    return (
        updates,
        exp_avg,
        row,
        column,
        residual_row,
        residual_column,
        exp_avg_sq,
    )


@transformation
class scale_by_came(GradientTransformation):
    """The direction of `came`.

    **Arguments:**

    - ``betas``, ``eps``, ``clip_threshold``: see `came`.

    **State:** `ScaleByCameState`.

    **Raises:** what `came` does.
    """

    betas: tuple[Value, Value, Value] = (0.9, 0.999, 0.9999)
    eps: tuple[Value, Value] = (1e-30, 1e-16)
    clip_threshold: Value = 1.0

    def __post_init__(self) -> None:
        if not hasattr(self.betas, "__len__") or len(self.betas) != 3:
            raise ValueError(f"betas must be three numbers, found {self.betas!r}")
        for i, beta in enumerate(self.betas):
            check_range(f"betas[{i}]", beta, at_least=0, below=1)
        check_pair("eps", self.eps)
        for i, eps in enumerate(self.eps):
            check_range(f"eps[{i}]", eps, above=0)
        check_range("clip_threshold", self.clip_threshold, above=0)

    def init(self, params: PyTree) -> ScaleByCameState:
        check_real(params, ("came", "parameters"))
        return ScaleByCameState(
            exp_avg=zeros_like(params),
            exp_avg_sq_row=zeros_without_axis(params, -1),
            exp_avg_sq_col=zeros_without_axis(params, -2),
            exp_avg_res_row=zeros_without_axis(params, -1),
            exp_avg_res_col=zeros_without_axis(params, -2),
            exp_avg_sq=zeros_like_vectors(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByCameState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByCameState]:
        check_real(updates, ("came", "gradients"))
        check_shapes(updates, state.exp_avg, ("updates", "exp_avg"))
        weights = [1 - beta for beta in self.betas]
        updates, *new = _came(
            updates,
            *state,
            eps1=self.eps[0],
            eps2=self.eps[1],
            clip_threshold=self.clip_threshold,
            weight1=weights[0],
            weight2=weights[1],
            weight3=weights[2],
        )
        return updates, ScaleByCameState(*new)


@factory
def came(
    lr: Hyperparameter = 2e-4,
    eps: tuple[Hyperparameter, Hyperparameter] = (1e-30, 1e-16),
    clip_threshold: Hyperparameter = 1.0,
    betas: tuple[Hyperparameter, Hyperparameter, Hyperparameter] = (
        0.9,
        0.999,
        0.9999,
    ),
    weight_decay: Hyperparameter = 0.0,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Adafactor with momentum, slowed where a step differs from the average step.

    ::

        s = g^2 + eps[0]
        R = betas[1] * R + (1 - betas[1]) * mean(s, columns)     (two or more axes)
        C = betas[1] * C + (1 - betas[1]) * mean(s, rows)
        V = R C / mean(R)
        V = betas[1] * V + (1 - betas[1]) * s                    (fewer axes)
        d = g / sqrt(V)
        d = d / max(1, RMS(d) / clip_threshold)
        m = betas[0] * m + (1 - betas[0]) * d
        e = (d - m)^2 + eps[1]
        R', C', U = the same of e, with betas[2]                 (two or more axes)
        u = -lr * (m / sqrt(U) + weight_decay * p),  U = 1 with fewer axes

    No average is debiased, so the first steps are larger than ``lr`` by a factor of
    about ten: use a warm-up.

    **Arguments:**

    - ``lr``: the learning rate. The authors give no default; this is their example's.
    - ``eps``: added to the squares of gradients and of distances, each above 0.
    - ``clip_threshold``: the RMS of ``d`` above which it is clipped.
    - ``betas``: decay rates of the mean, of the squares, and of the squared distances,
      each in [0, 1).
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByCameState`, in the parameters' dtypes.

    **Raises:** `ValueError` for a number out of range; `TypeError` for complex
    parameters and for sparse gradients.

    **Source:** Luo et al., "CAME: Confidence-guided Adaptive Memory Efficient
    Optimization", ACL 2023, [arXiv:2307.02047](https://arxiv.org/abs/2307.02047).
    """
    return assemble(
        scale_by_came(betas, eps, clip_threshold),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
