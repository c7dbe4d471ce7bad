"""GaLore."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_integer, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import leafwise
from .._numerics import first_moment, increment, one_minus_power, second_moment, sqrt
from .._placement import on_whole_leaves
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, check_real
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory
from ._projections import Projector


class ScaleByGaloreState(NamedTuple):
    """State of `scale_by_galore`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's projected gradients, from 0 and not
      debiased.
    - ``exp_avg_sq``: the same for their squares.
    - ``projection``: the projection matrix of each projected parameter, in at least
      float32; None for the others.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]
    projection: PerParameter


@leafwise(outputs=3, static=("projector",))
def _galore(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    projection: Array | None,
    *,
    weight1: Array,
    weight2: Array,
    correction: Array,
    eps: Array,
    scale: Array,
    projector: Projector,
) -> tuple[Array, Array, Array]:
    grads = updates
    if projection is not None:
        grads = projector.project(updates, projection)
    exp_avg = first_moment(exp_avg, grads, weight1)
    exp_avg_sq = second_moment(exp_avg_sq, grads, weight2)
    direction = correction * exp_avg / (sqrt(exp_avg_sq) + eps)
    if projection is not None:
        direction = scale * projector.restore(direction, projection, updates)
    return direction, exp_avg, exp_avg_sq


@transformation
class scale_by_galore(GradientTransformation):
    """Adam's direction in the space of the gradients' first singular vectors.

    The rule: see `galore`.

    **Arguments:**

    - ``betas``, ``eps``, ``rank``, ``update_proj_gap``, ``scale``, ``proj_type``: see
      `galore`.

    **State:** `ScaleByGaloreState`.

    **Raises:** what `galore` does.
    """

    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-6
    rank: int = static(default=128)
    update_proj_gap: int = static(default=200)
    scale: Value = 0.25
    proj_type: str = static(default="std")

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        check_integer("update_proj_gap", self.update_proj_gap, at_least=1)
        check_range("scale", self.scale, at_least=0)
        self._projector().check()

    def _projector(self) -> Projector:
        return Projector(self.rank, self.proj_type)

    def init(self, params: PyTree) -> ScaleByGaloreState:
        check_real(params, ("galore", "parameters"))
        projector = self._projector()
        return ScaleByGaloreState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=projector.zeros(params),
            exp_avg_sq=projector.zeros(params),
            projection=projector.zero_projections(params),
        )

    @on_whole_leaves()
    def update(
        self,
        updates: PyTree,
        state: ScaleByGaloreState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByGaloreState]:
        beta1, beta2 = self.betas
        projector = self._projector()
        check_real(updates, ("galore", "gradients"))
        projector.check_fit(updates, state.exp_avg)
        projection = projector.refreshed(
            state.step % self.update_proj_gap == 0, updates, state.projection
        )
        step = increment(state.step)
        updates, exp_avg, exp_avg_sq = _galore(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            projection,
            weight1=1 - beta1,
            weight2=1 - beta2,
            correction=jnp.sqrt(one_minus_power(beta2, step))
            / one_minus_power(beta1, step),
            eps=self.eps,
            scale=self.scale,
            projector=projector,
        )
        return updates, ScaleByGaloreState(step, exp_avg, exp_avg_sq, projection)


@factory
def galore(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-6,
    weight_decay: Hyperparameter = 0.0,
    *,
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: Hyperparameter = 0.25,
    proj_type: str = "std",
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """GaLore: AdamW with moments of gradients projected to few dimensions.

    ::

        P = the first ``rank`` singular vectors of g          (at t = 1, 1 + gap, ...)
        x = P^T g  if rows < columns,  else  g P^T
        m = betas[0] * m + (1 - betas[0]) * x
        v = betas[1] * v + (1 - betas[1]) * x^2
        y = m / (sqrt(v) + eps)
        d = scale * P y  if rows < columns,  else  scale * y P
        d = sqrt(1 - betas[1]^t) / (1 - betas[0]^t) * d
        u = -lr * d
        u = u - lr * weight_decay * (p + u)

    A matrix of ``n x m`` numbers, ``n <= m``, keeps two moments of ``rank * m`` numbers
    and a projection of ``n * rank``. A parameter moves in the space of one projection
    at a time; when the projection changes, the moments are kept. Matrices with at most
    ``rank`` rows or columns and parameters that are not matrices are updated as in
    `adamw`, with this ``eps`` and without ``scale``. The decomposition is computed only
    when it is due.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``eps``: added to the root, before its correction.
    - ``weight_decay``: decay of the parameters after the step, in units of ``lr``.
    - ``rank``: the number of dimensions to keep.
    - ``update_proj_gap``: the number of steps between new projections.
    - ``scale``: the factor of the projected gradients.
    - ``proj_type``: ``"std"`` projects the shorter side, ``"reverse_std"`` the longer
      one, as `optax.contrib.galore` does, whose ``scale`` is 1 (the moments are then
      smaller, and the projection is larger); ``"left"`` the rows, ``"right"`` the
      columns.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    All numbers except the counts may be arrays or schedules.

    **State:** `ScaleByGaloreState`, its moments in the parameters' dtypes.

    **Raises:** `ValueError` for a number out of range, an unknown ``proj_type`` and, at
    `update`, a gradient of another shape or a missing ``params`` if there is decay;
    `TypeError` for a count that is not an integer, for complex parameters and for
    sparse gradients.

    **Source:** Zhao, Zhang, Chen, Wang, Anandkumar and Tian, "GaLore: Memory-Efficient
    LLM Training by Gradient Low-Rank Projection", 2024,
    [arXiv:2403.03507](https://arxiv.org/abs/2403.03507).
    """
    return assemble(
        scale_by_galore(betas, eps, rank, update_proj_gap, scale, proj_type),
        lr=lr,
        weight_decay=weight_decay,
        decay="after",
        mask=mask,
        maximize=maximize,
    )
