"""APOLLO."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_choice, check_integer, check_range, check_whole
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import leafwise
from .._numerics import (
    as_scalar,
    first_moment,
    increment,
    one_minus_power,
    second_moment,
    sqrt,
)
from .._placement import on_whole_leaves, zeros_of_shape
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, check_real, compute_dtype, leaf_dtype
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory
from ._projections import Projector

# A step may be longer than the previous one by this factor.
_GROWTH = 1.01


class ScaleByApolloState(NamedTuple):
    """State of `scale_by_apollo`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``key``: uint32 [2], the key of the whole run; None with ``proj="svd"``.
    - ``exp_avg``: the average of each parameter's projected gradients, from 0 and not
      debiased.
    - ``exp_avg_sq``: the same for their squares.
    - ``projection``: the projection matrix of each projected parameter, in at least
      float32; None for the others.
    - ``last_norm``: the norm of the last direction of each of these, initially 0; None
      for the others, and for all with ``disable_nl``.
    """

    step: Shared
    key: Shared | None
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]
    projection: PerParameter
    last_norm: NonNegative


@leafwise(outputs=4, static=("projector", "scale_type", "scale_front"))
def _apollo(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    last_norm: Array | None,
    projection: Array | None,
    *,
    weight1: Array,
    weight2: Array,
    correction: Array,
    eps: Array,
    root_scale: Array,
    projector: Projector,
    scale_type: str,
    scale_front: bool,
) -> tuple[Array, Array, Array, Array | None]:
    grads = updates
    if projection is not None:
        grads = projector.project(updates, projection)
    exp_avg = first_moment(exp_avg, grads, weight1)
    exp_avg_sq = second_moment(exp_avg_sq, grads, weight2)
    direction = exp_avg / (sqrt(exp_avg_sq) + eps)
    if projection is None:
        return correction * direction, exp_avg, exp_avg_sq, last_norm
    axis = None
    if scale_type == "channel":
        axis = 0 if projector.is_left(updates.shape) else 1
    factor = _norm_along(direction, axis) / (_norm_along(grads, axis) + 1e-8)
    direction = updates * jnp.broadcast_to(factor, updates.shape)
    if scale_front:
        direction *= root_scale
    if last_norm is not None:
        norm = _norm_along(direction, None).reshape(())
        growth = jnp.maximum(norm / (last_norm + 1e-8), _GROWTH) / _GROWTH
        # A step of length 0 would keep all later steps near 0.
        limit = jnp.where(last_norm > 0, growth, 1)
        direction, last_norm = direction / limit, norm / limit
    if not scale_front:
        direction *= root_scale
    return correction * direction, exp_avg, exp_avg_sq, last_norm


def _norm_along(matrix: Array, axis: int | None) -> Array:
    return sqrt(jnp.sum(matrix * matrix, axis, keepdims=True))


@transformation
class scale_by_apollo(GradientTransformation):
    """Scale gradients as Adam scales their low-dimensional projections.

    The rule: see `apollo`.

    **Arguments:**

    - ``betas``, ``eps``, ``rank``, ``update_proj_gap``, ``scale``, ``proj``,
      ``proj_type``, ``scale_type``, ``scale_front``, ``disable_nl``, ``seed``: see
      `apollo`.

    **State:** `ScaleByApolloState`.

    **Raises:** what `apollo` does.
    """

    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-6
    rank: int = static(default=256)
    update_proj_gap: int = static(default=200)
    scale: Value = 1.0
    proj: str = static(default="random")
    proj_type: str = static(default="std")
    scale_type: str = static(default="channel")
    scale_front: bool = static(default=False)
    disable_nl: bool = static(default=False)
    seed: Value = 0

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        check_integer("update_proj_gap", self.update_proj_gap, at_least=1)
        check_range("scale", self.scale, at_least=0)
        check_choice("proj", self.proj, ("random", "svd"))
        check_choice("scale_type", self.scale_type, ("channel", "tensor"))
        check_whole("seed", self.seed, at_least=0)
        self._projector().check()

    def _projector(self) -> Projector:
        return Projector(self.rank, self.proj_type)

    def init(self, params: PyTree) -> ScaleByApolloState:
        check_real(params, ("apollo", "parameters"))
        projector = self._projector()

        def zero_norm(leaf: Any) -> Array | None:
            if self.disable_nl or not projector.applies(jnp.shape(leaf)):
                return None
            return zeros_of_shape(leaf, (), compute_dtype(leaf_dtype(leaf)))

        key = None
        if self.proj == "random":
            # Raw data, not a typed key, so that it can be saved like any other array.
            key = jax.random.key_data(jax.random.key(self.seed, impl="threefry2x32"))
        return ScaleByApolloState(
            step=jnp.zeros((), jnp.int32),
            key=key,
            exp_avg=projector.zeros(params),
            exp_avg_sq=projector.zeros(params),
            projection=projector.zero_projections(params),
            last_norm=jax.tree.map(zero_norm, params),
        )

    @on_whole_leaves()
    def update(
        self,
        updates: PyTree,
        state: ScaleByApolloState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByApolloState]:
        beta1, beta2 = self.betas
        projector = self._projector()
        check_real(updates, ("apollo", "gradients"))
        projector.check_fit(updates, state.exp_avg)
        key = None
        if state.key is not None:
            key = jax.random.wrap_key_data(state.key, impl="threefry2x32")
            key = jax.random.fold_in(key, state.step)
        projection = projector.refreshed(
            state.step % self.update_proj_gap == 0, updates, state.projection, key
        )
        step = increment(state.step)
        updates, exp_avg, exp_avg_sq, last_norm = _apollo(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            state.last_norm,
            projection,
            weight1=1 - beta1,
            weight2=1 - beta2,
            correction=jnp.sqrt(one_minus_power(beta2, step))
            / one_minus_power(beta1, step),
            eps=self.eps,
            root_scale=sqrt(as_scalar(self.scale)),
            projector=projector,
            scale_type=self.scale_type,
            scale_front=self.scale_front,
        )
        return updates, ScaleByApolloState(
            step, state.key, exp_avg, exp_avg_sq, projection, last_norm
        )


@factory
def apollo(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-6,
    weight_decay: Hyperparameter = 0.0,
    *,
    rank: int = 256,
    update_proj_gap: int = 200,
    scale: Hyperparameter = 1.0,
    proj: str = "random",
    proj_type: str = "std",
    scale_type: str = "channel",
    scale_front: bool = False,
    disable_nl: bool = False,
    seed: int = 0,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """APOLLO: SGD with the step sizes of AdamW on a projection of the gradients.

    ::

        P = numbers from N(0, 1 / rank)                       (at t = 1, 1 + gap, ...)
        x = P^T g  if rows < columns,  else  g P^T
        m = betas[0] * m + (1 - betas[0]) * x
        v = betas[1] * v + (1 - betas[1]) * x^2
        f = norm(m / (sqrt(v) + eps)) / (norm(x) + 1e-8)      (of each channel)
        y = f * g
        y = y / (max(norm(y) / (norm(y') + 1e-8), 1.01) / 1.01)
        d = sqrt(1 - betas[1]^t) / (1 - betas[0]^t) * sqrt(scale) * y
        u = -lr * d
        u = u - lr * weight_decay * (p + u)

    A channel extends along the projected axis: a column of a matrix with fewer rows
    than columns, else a row. ``y'`` is the ``y`` of the previous step. A matrix of ``n
    x m`` numbers, ``n <= m``, keeps two moments of ``rank * m`` numbers and a
    projection of ``n * rank``, but moves in all its dimensions. Matrices with at most
    ``rank`` rows or columns and parameters that are not matrices are updated as in
    `adamw`, with this ``eps``.

    APOLLO-Mini has one dimension and one factor per matrix::

        of.apollo(1e-2, rank=1, scale=128, scale_type="tensor")

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``eps``: added to the root, before its correction.
    - ``weight_decay``: decay of the parameters after the step, in units of ``lr``.
    - ``rank``: the number of dimensions to keep.
    - ``update_proj_gap``: the number of steps between new projections.
    - ``scale``: its root is a factor of the projected gradients.
    - ``proj``: ``"random"``, or ``"svd"`` for the gradient's first singular vectors.
    - ``proj_type``: ``"std"`` projects the shorter side, ``"reverse_std"`` the longer
      one, ``"left"`` the rows, ``"right"`` the columns.
    - ``scale_type``: ``"channel"``, or ``"tensor"`` for the norms of whole matrices.
    - ``scale_front``: apply ``scale`` before the growth of norms is limited.
    - ``disable_nl``: do not limit it.
    - ``seed``: the seed of the random projections, which `init` reads.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    All numbers except the counts may be arrays or schedules.

    **State:** `ScaleByApolloState`, its moments in the parameters' dtypes.

    **Raises:** `ValueError` for a number out of range, an unknown name of a kind and,
    at `update`, a gradient of another shape or a missing ``params`` if there is decay;
    `TypeError` for a count that is not an integer, for complex parameters and for
    sparse gradients.

    **Source:** Zhu, Zhang, Cong, Liu and others, "APOLLO: SGD-like Memory, AdamW-level
    Performance", 2024, [arXiv:2412.05270](https://arxiv.org/abs/2412.05270).
    """
    direction = scale_by_apollo(
        betas,
        eps,
        rank,
        update_proj_gap,
        scale,
        proj,
        proj_type,
        scale_type,
        scale_front,
        disable_nl,
        seed,
    )
    return assemble(
        direction,
        lr=lr,
        weight_decay=weight_decay,
        decay="after",
        mask=mask,
        maximize=maximize,
    )
