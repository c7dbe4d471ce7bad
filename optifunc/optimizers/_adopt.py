"""ADOPT."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, TypeAlias

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import (
    as_scalar,
    first_moment,
    increment,
    is_zero,
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

Clipping: TypeAlias = Callable[[Array], Any]


class ScaleByAdoptState(NamedTuple):
    """State of `scale_by_adopt`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's divided gradients, from 0 and not
      debiased.
    - ``exp_avg_sq``: the same for the squared gradients, from the first one.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]


def fourth_root(step: Array) -> Array:
    """ADOPT's bound on a divided gradient."""
    return step**0.25


@elementwise(outputs=3, static=("nesterov",))
def _adopt(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    decaying: Array | None,
    *,
    weight1: Array,
    weight2: Array,
    eps: Array,
    bound: Array | None,
    shrinkage: Array,
    nesterov: bool,
) -> tuple[Array, Array, Array]:
    # The last gradient is not in the divisor, so the two are nearly independent.
    divided = updates / jnp.maximum(sqrt(exp_avg_sq), eps)
    if bound is not None:
        divided = jnp.clip(divided, -bound, bound)
    # At the first step there is nothing to divide by.
    divided = jnp.where(weight1 > 0, divided, 0)
    exp_avg = first_moment(exp_avg, divided, weight1)
    direction = first_moment(exp_avg, divided, weight1) if nesterov else exp_avg
    if decaying is not None:
        direction = direction + shrinkage * decaying
    return direction, exp_avg, second_moment(exp_avg_sq, updates, weight2)


@transformation
class scale_by_adopt(GradientTransformation):
    """Divide by the root of the mean square of the gradients before the last one.

    The rule: see `adopt`.

    **Arguments:**

    - ``betas``, ``eps``, ``clip_lambda``, ``nesterov``: see `adopt`.
    - ``weight_decay``: decay that begins with the second step, like the moments; in
      units of the learning rate that is applied afterward.
    - ``mask``: see `adopt`.

    **State:** `ScaleByAdoptState`.

    **Raises:** what `adopt` does.
    """

    betas: tuple[Value, Value] = (0.9, 0.9999)
    eps: Value = 1e-6
    # With a factory, because a function as a class attribute would become a method.
    clip_lambda: Clipping | None = static(default_factory=lambda: fourth_root)
    nesterov: bool = static(default=False)
    weight_decay: Value = 0.0
    mask: Any = static(default=None)

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        if self.clip_lambda is not None and not callable(self.clip_lambda):
            raise TypeError(
                "clip_lambda must be a function of the number of steps, or None for no "
                f"clipping, found {self.clip_lambda!r}"
            )
        check_range("weight_decay", self.weight_decay, at_least=0)
        object.__setattr__(self, "mask", static_mask(self.mask))

    def init(self, params: PyTree) -> ScaleByAdoptState:
        check_mask_fits(self.mask, params)
        return ScaleByAdoptState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByAdoptState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByAdoptState]:
        decayed = None
        if not is_zero(self.weight_decay):
            params = require_params(params, updates, "adopt")
            decayed = decaying(params, self.mask)
        beta1, beta2 = self.betas
        before = as_scalar(state.step)
        is_first = state.step == 0
        updates, exp_avg, exp_avg_sq = _adopt(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            decayed,
            weight1=jnp.where(is_first, 0, as_scalar(1 - beta1)),
            weight2=jnp.where(is_first, 1, as_scalar(1 - beta2)),
            eps=self.eps,
            bound=None if self.clip_lambda is None else self.clip_lambda(before),
            shrinkage=jnp.where(is_first, 0, as_scalar(self.weight_decay)),
            nesterov=self.nesterov,
        )
        return updates, ScaleByAdoptState(increment(state.step), exp_avg, exp_avg_sq)


@factory
def adopt(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.9999),
    eps: Hyperparameter = 1e-6,
    clip_lambda: Clipping | None = fourth_root,
    weight_decay: Hyperparameter = 0.0,
    decouple: bool = False,
    *,
    nesterov: bool = False,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """ADOPT: Adam's division without the latest gradient, which always converges.

    ::

        g = g + weight_decay * p                              (coupled decay)
        v = g^2,  u = 0                                       (first step)
        x = g / max(sqrt(v), eps)                             (the others)
        x = min(max(x, -c), c),   c = clip_lambda(t - 1)
        m = betas[0] * m + (1 - betas[0]) * x
        d = m,  or with nesterov  betas[0] * m + (1 - betas[0]) * x
        d = d + weight_decay * p                              (decoupled decay)
        u = -lr * d
        v = betas[1] * v + (1 - betas[1]) * g^2               (after the step)

    The first step only measures the gradients and does not move the parameters.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the mean and of the squares, each in [0, 1).
    - ``eps``: the smallest divisor.
    - ``clip_lambda``: the bound on an element of ``x``, a function of the number of
      previous steps; by default, its fourth root. None: no bound, as in the first
      version of the paper; an early gradient near 0 is then a large step. It is static:
      a newly created function triggers recompilation.
    - ``weight_decay``: L2 penalty, or with ``decouple`` a decay in units of ``lr``.
    - ``decouple``: keep the decay out of the moments.
    - ``nesterov``: look ahead by one more step of the mean.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByAdoptState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, `TypeError` for a
    ``clip_lambda`` that is not a function, and at `update`, `ValueError` if there is
    decay and ``params`` is missing.

    **Source:** Taniguchi et al., "ADOPT: Modified Adam Can Converge with Any beta2 with
    the Optimal Rate", 2024, [arXiv:2411.02853](https://arxiv.org/abs/2411.02853).
    """
    # Decoupled decay is inside, where the first step is known.
    inside = (weight_decay, mask) if decouple else ()
    return assemble(
        scale_by_adopt(betas, eps, clip_lambda, nesterov, *inside),
        lr=lr,
        weight_decay=0.0 if decouple else weight_decay,
        decay="coupled",
        mask=mask,
        maximize=maximize,
    )
