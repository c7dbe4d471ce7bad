"""StableAdamW."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value, is_schedule
from .._leafwise import elementwise
from .._numerics import (
    as_scalar,
    first_moment,
    increment,
    is_zero,
    one_minus_power,
    second_moment,
    sqrt,
)
from .._placement import zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._decay_inside import check_mask_fits, decaying, static_mask
from ._factory import factory


class ScaleByStableadamwState(NamedTuple):
    """State of `scale_by_stableadamw`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the debiased average of each parameter's gradients.
    - ``exp_avg_sq``: the same for their squares.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]


@elementwise(outputs=3)
def _stableadamw(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    decaying: Array | None,
    *,
    weight1: Array,
    weight2: Array,
    eps: Array,
    shrinkage: Array,
) -> tuple[Array, Array, Array]:
    exp_avg = first_moment(exp_avg, updates, weight1)
    exp_avg_sq = second_moment(exp_avg_sq, updates, weight2)
    # Divide before squaring: `eps * eps` may be 0 in float32.
    size = updates / jnp.maximum(sqrt(exp_avg_sq), eps)
    size = sqrt(jnp.sum(size * size) / max(size.size, 1))
    direction = exp_avg / (sqrt(exp_avg_sq) + eps)
    if decaying is not None:
        direction = direction + shrinkage * decaying
    return direction / jnp.maximum(size, 1), exp_avg, exp_avg_sq


@transformation
class scale_by_stableadamw(GradientTransformation):
    """Adam's direction, clipped where the second moment lags behind.

    The rule: see `stableadamw`.

    **Arguments:**

    - ``betas``, ``eps``: see `stableadamw`.
    - ``weight_decay``: decay that is clipped with the direction, in units of the
      learning rate that is applied afterward.
    - ``max_lr``: if given, ``weight_decay`` is a fraction of the parameter at this
      learning rate.
    - ``mask``: see `stableadamw`.

    **State:** `ScaleByStableadamwState`.

    **Raises:** what `stableadamw` does.
    """

    betas: tuple[Value, Value] = (0.9, 0.99)
    eps: Value = 1e-6
    weight_decay: Value = 0.0
    max_lr: Value | None = None
    mask: Any = static(default=None)

    def __post_init__(self) -> None:
        check_betas(self.betas)
        # Keeps the quotients finite where a gradient is 0.
        check_range("eps", self.eps, above=0)
        check_range("weight_decay", self.weight_decay, at_least=0)
        if self.max_lr is not None:
            check_range("max_lr", self.max_lr, above=0)
        object.__setattr__(self, "mask", static_mask(self.mask))

    def init(self, params: PyTree) -> ScaleByStableadamwState:
        check_mask_fits(self.mask, params)
        return ScaleByStableadamwState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByStableadamwState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByStableadamwState]:
        decayed = None
        if not is_zero(self.weight_decay):
            params = require_params(params, updates, "stableadamw")
            decayed = decaying(params, self.mask)
        beta1, beta2 = self.betas
        step = increment(state.step)
        share = self.weight_decay
        updates, exp_avg, exp_avg_sq = _stableadamw(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            decayed,
            # Averages with these weights are debiased: the first weight is 1.
            weight1=as_scalar(1 - beta1) / one_minus_power(beta1, step),
            weight2=as_scalar(1 - beta2) / one_minus_power(beta2, step),
            eps=self.eps,
            shrinkage=share if self.max_lr is None else share / self.max_lr,
        )
        return updates, ScaleByStableadamwState(step, exp_avg, exp_avg_sq)


@factory
def stableadamw(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.99),
    weight_decay: Hyperparameter = 1e-2,
    eps: Hyperparameter = 1e-6,
    decouple_lr: bool = False,
    max_lr: Hyperparameter | None = None,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """StableAdamW: AdamW with smaller steps where the second moment lags behind.

    ::

        m = b1 * m + (1 - b1) * g,        1 - b = (1 - beta) / (1 - beta^t)
        v = b2 * v + (1 - b2) * g^2
        r = RMS(g / max(sqrt(v), eps))
        d = m / (sqrt(v) + eps)
        d = d + weight_decay * p,  or with decouple_lr  weight_decay / max_lr * p
        u = -lr / max(1, r) * d

    ``RMS`` is the root of the mean of the squares of a leaf's elements. If gradients
    grow faster than the second moment follows, ``r`` is above 1, and the step of that
    leaf is scaled down, which replaces gradient clipping. The averages are stored
    debiased.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``eps``: added to the root, above 0.
    - ``decouple_lr``: make the decay independent of the learning rate: it is the
      fraction ``weight_decay`` of a parameter at ``max_lr``, and a good value is near
      1e-5.
    - ``max_lr``: the largest learning rate. The default is ``lr``; with
      ``decouple_lr``, it is required if that is a schedule.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByStableadamwState`, its trees in the parameters' shapes and
    dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters,
    except that they share one ``r``; give the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, for a ``max_lr`` that is missing
    or unused, and at `update` if there is decay and ``params`` is missing.

    **Source:** Wortsman et al., "Stable and low-precision training for large-scale
    vision-language models", 2023,
    [arXiv:2304.13013](https://arxiv.org/abs/2304.13013); the independent decay as in
    [optimi](https://optimi.benjaminwarner.dev/).
    """
    if max_lr is not None and not decouple_lr:
        raise ValueError(f"max_lr is only for decouple_lr=True, found {max_lr!r}")
    if decouple_lr and max_lr is None:
        if is_schedule(lr):
            raise ValueError(
                f"decouple_lr needs max_lr, the largest value of the schedule lr={lr!r}"
            )
        max_lr = lr
    return assemble(
        scale_by_stableadamw(betas, eps, weight_decay, max_lr, mask),
        lr=lr,
        maximize=maximize,
    )
