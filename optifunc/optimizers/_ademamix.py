"""AdEMAMix."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_integer, check_length, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import (
    Scalar,
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
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleByAdemamixState(NamedTuple):
    """State of `scale_by_ademamix`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg_fast``: the fast average of each parameter's gradients, from 0 and not
      debiased; None if ``betas[0]`` is the number 0.
    - ``exp_avg_slow``: the slow one.
    - ``exp_avg_sq``: the average of their squares.
    """

    step: Shared
    exp_avg_fast: Annotated[PerParameter | None, Keeps("betas", 0)]
    exp_avg_slow: Annotated[PerParameter, Keeps("betas", 2)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]


@elementwise(outputs=4)
def _ademamix(
    updates: Array,
    exp_avg_fast: Array | None,
    exp_avg_slow: Array,
    exp_avg_sq: Array,
    *,
    weight1: Array,
    weight2: Array,
    weight3: Array,
    fast: Array,
    slow: Array,
    eps: Array,
    eps_root: Array | None,
) -> tuple[Array, Array | None, Array, Array]:
    mean = updates
    if exp_avg_fast is not None:
        mean = exp_avg_fast = first_moment(exp_avg_fast, updates, weight1)
    exp_avg_slow = first_moment(exp_avg_slow, updates, weight3)
    exp_avg_sq = second_moment(exp_avg_sq, updates, weight2)
    mixed = fast * mean + slow * exp_avg_slow
    square = exp_avg_sq if eps_root is None else exp_avg_sq + eps_root
    return mixed / (sqrt(square) + eps), exp_avg_fast, exp_avg_slow, exp_avg_sq


def _half_life(beta: Scalar) -> Array:
    """The half-life of a decay in steps, in units of ``log(0.5)``.

    1e-8 is the authors', which also gives 0 a half-life.
    """
    complement = as_scalar(beta - 1) + 1e-8
    least = jnp.finfo(complement.dtype).epsneg
    return 1 / jnp.log1p(jnp.maximum(complement, least - 1))


def slow_weight(
    beta1: Scalar, beta3: Scalar, step: Array, warmup_steps: int | None
) -> Scalar:
    """``1 - beta3_t``: the half-life grows linearly from that of ``beta1``."""
    if warmup_steps is None:
        return 1 - beta3
    share = as_scalar(step) / warmup_steps
    half_life = (1 - share) * _half_life(beta1) + share * _half_life(beta3)
    return jnp.where(share < 1, -jnp.expm1(1 / half_life), as_scalar(1 - beta3))


@transformation
class scale_by_ademamix(GradientTransformation):
    """Adam's direction, with a slow average of the gradients added to the fast one.

    The rule: see `ademamix`.

    **Arguments:**

    - ``betas``, ``alpha``, ``beta3_warmup``, ``alpha_warmup``, ``eps``: see `ademamix`.
    - ``eps_root``: added to the corrected mean square under the root; None: nothing.

    **State:** `ScaleByAdemamixState`.

    **Raises:** what `ademamix` does.
    """

    betas: tuple[Value, Value, Value] = (0.9, 0.999, 0.9999)
    alpha: Value = 2.0
    beta3_warmup: int | None = static(default=None)
    alpha_warmup: int | None = static(default=None)
    eps: Value = 1e-8
    _: dataclasses.KW_ONLY
    eps_root: Value | None = None

    def __post_init__(self) -> None:
        check_length("betas", self.betas, 3)
        if is_zero(self.betas[0]):
            # This is structure, even if the numbers become arrays later.
            object.__setattr__(self, "betas", (None, *self.betas[1:]))
        for i, beta in enumerate(self.betas):
            if beta is not None:
                check_range(f"betas[{i}]", beta, at_least=0, below=1)
        check_range("alpha", self.alpha, at_least=0)
        for name in ("beta3_warmup", "alpha_warmup"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), at_least=1)
        check_range("eps", self.eps, at_least=0)
        if self.eps_root is not None:
            check_range("eps_root", self.eps_root, at_least=0)

    def init(self, params: PyTree) -> ScaleByAdemamixState:
        return ScaleByAdemamixState(
            step=jnp.zeros((), jnp.int32),
            exp_avg_fast=None if self.betas[0] is None else zeros_like(params),
            exp_avg_slow=zeros_like(params),
            exp_avg_sq=zeros_like(params),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByAdemamixState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByAdemamixState]:
        beta1, beta2, beta3 = self.betas
        if beta1 is None or state.exp_avg_fast is None:
            beta1 = 0.0
        step = increment(state.step)
        alpha = self.alpha
        if self.alpha_warmup is not None:
            alpha = alpha * jnp.minimum(as_scalar(step) / self.alpha_warmup, 1)
        root_correction2 = jnp.sqrt(one_minus_power(beta2, step))
        updates, *trees = _ademamix(
            updates,
            state.exp_avg_fast,
            state.exp_avg_slow,
            state.exp_avg_sq,
            weight1=1 - beta1,
            weight2=1 - beta2,
            weight3=slow_weight(beta1, beta3, step, self.beta3_warmup),
            fast=root_correction2 / one_minus_power(beta1, step),
            slow=root_correction2 * alpha,
            eps=root_correction2 * self.eps,
            eps_root=None
            if self.eps_root is None
            else root_correction2 * root_correction2 * self.eps_root,
        )
        return updates, ScaleByAdemamixState(step, *trees)


@factory
def ademamix(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter, Hyperparameter] = (
        0.9,
        0.999,
        0.9999,
    ),
    alpha: Hyperparameter = 2.0,
    beta3_warmup: int | None = None,
    alpha_warmup: int | None = None,
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """AdEMAMix: Adam that also remembers gradients from ten thousand steps ago.

    ::

        m1 = betas[0] * m1 + (1 - betas[0]) * g
        m2 = b3 * m2 + (1 - b3) * g
        v = betas[1] * v + (1 - betas[1]) * g^2
        d = (m1 / (1 - betas[0]^t) + a * m2) / (sqrt(v / (1 - betas[1]^t)) + eps)
        u = -lr * (d + weight_decay * p)

    ``a`` and ``b3`` are ``alpha`` and ``betas[2]``. During a warm-up of ``T`` steps
    ``a = alpha * t / T``, and the half-life of the slow average grows linearly from
    that of the fast one::

        1 / log(b3) = (1 - t / T) / log(betas[0]) + t / T / log(betas[2])

    (with 1e-8 added to ``betas`` in the logarithms, as the authors do). The slow
    average is not debiased. optax has the same rule with ``alpha=5.0`` and schedules in
    place of the warm-ups, which also work here.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the fast average, of the squares and of the slow
      average, each in [0, 1). If the first is the number 0, the gradient itself is
      used, and the fast average is not kept.
    - ``alpha``: how much the slow average counts, at least 0; 4 to 10 in the paper.
    - ``beta3_warmup``: the number of updates over which ``b3`` grows to ``betas[2]``;
      None: no warm-up.
    - ``alpha_warmup``: the number of updates over which ``a`` grows to ``alpha``; None:
      no warm-up. Without warm-ups, a large ``alpha`` may diverge early; in the paper,
      both last for the whole run.
    - ``eps``: added to the root, after its correction.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    All numbers except the lengths of the warm-ups may be arrays or schedules.

    **State:** `ScaleByAdemamixState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, `TypeError` for a warm-up that
    is not an integer, and at `update` `ValueError` if there is decay and ``params`` is
    missing.

    **Source:** Pagliardini, Ablin and Grangier, "The AdEMAMix Optimizer: Better,
    Faster, Older", 2024, [arXiv:2409.03137](https://arxiv.org/abs/2409.03137).
    """
    return assemble(
        scale_by_ademamix(betas, alpha, beta3_warmup, alpha_warmup, eps),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
