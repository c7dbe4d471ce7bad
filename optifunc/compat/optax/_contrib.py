"""optax.contrib's optimizers on top of ours."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ..._numerics import as_scalar, is_zero
from ..._placement import scalars_like, wide_zeros_like
from ..._transformation import identity as our_identity
from ...optimizers import (
    _acprop,
    _ademamix,
    _cocob,
    _madgrad,
    _momo,
    _momo_adam,
    _prodigy,
    _simplified_ademamix,
)
from ...transforms._weight_decay import add_decayed_weights as our_decay
from . import _blocks as blocks, _states as states
from ._naming import Converted, Fields, named, named_and_scheduled
from ._transformation import (
    GradientTransformationExtraArgs,
    MaskOrFn,
    ScalarOrSchedule,
    built,
)

# --- relatives of Adam ----------------------------------------------------------------


def scale_by_acprop(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-16,
    eps_root: ArrayLike = 1e-16,
) -> GradientTransformationExtraArgs:
    """`of.scale_by_acprop`."""
    naming = Fields(
        states.ScaleByBeliefState,
        _acprop.ScaleByAcpropState,
        ("step", "exp_avg", "exp_avg_var"),
    )
    tx = _acprop.scale_by_acprop((b1, b2), eps, eps_root)
    return built(named(tx, naming, ("mu", "nu")))


def acprop(
    learning_rate: ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-16,
    eps_root: ArrayLike = 1e-16,
    weight_decay: ArrayLike = 0.0,
    mask: MaskOrFn = None,
) -> GradientTransformationExtraArgs:
    """`of.acprop`."""
    return built(
        scale_by_acprop(b1, b2, eps, eps_root),
        blocks.add_decayed_weights(weight_decay, mask),
        blocks.scale_by_learning_rate(learning_rate),
    )


def scale_by_ademamix(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 6.0,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: Any | None = None,
) -> GradientTransformationExtraArgs:
    """`of.scale_by_ademamix`."""
    dtype = blocks.dtype_or_none(mu_dtype)
    naming = Fields(
        states.ScaleByAdemamixState,
        _ademamix.ScaleByAdemamixState,
        ("step", "step", "exp_avg_fast", "exp_avg_slow", "exp_avg_sq"),
        (("m1", dtype), ("m2", dtype), ("nu", dtype)),
    )
    # Without a fast average, ours has no field for it.
    first: Any = jnp.zeros(()) if is_zero(b1) else b1
    own_b3: Any = b3
    own_alpha: Any = alpha
    tx = _ademamix.scale_by_ademamix(
        (first, b2, own_b3),
        own_alpha,
        eps=eps,
        eps_root=blocks.none_if_zero(eps_root),
    )
    return built(named_and_scheduled(tx, naming, "count", b3, alpha))


def ademamix(
    learning_rate: ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 5.0,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: Any | None = None,
    weight_decay: ArrayLike = 0.0,
    mask: MaskOrFn = None,
) -> GradientTransformationExtraArgs:
    """`of.ademamix`; schedules of ``b3`` and ``alpha`` in place of its warmups."""
    return built(
        scale_by_ademamix(b1, b2, b3, alpha, eps, eps_root, mu_dtype),
        blocks.add_decayed_weights(weight_decay, mask),
        blocks.scale_by_learning_rate(learning_rate),
    )


def scale_by_simplified_ademamix(
    b1: ArrayLike = 0.99,
    b2: ArrayLike = 0.95,
    alpha: ScalarOrSchedule = 0.0,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
) -> GradientTransformationExtraArgs:
    """`of.scale_by_simplified_ademamix`."""
    naming = Fields(
        states.ScaleBySimplifiedAdEMAMixState,
        _simplified_ademamix.ScaleBySimplifiedAdemamixState,
        ("step", "exp_sum", "exp_avg_sq"),
    )
    own: Any = alpha
    tx = _simplified_ademamix.scale_by_simplified_ademamix(
        (b1, b2), own, eps, eps_root=blocks.none_if_zero(eps_root)
    )
    return built(named_and_scheduled(tx, naming, "t", alpha))


def simplified_ademamix(
    learning_rate: ScalarOrSchedule,
    b1: ArrayLike = 0.99,
    b2: ArrayLike = 0.95,
    alpha: ScalarOrSchedule = 0.0,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    weight_decay: ArrayLike = 0.0,
    mask: MaskOrFn = None,
) -> GradientTransformationExtraArgs:
    """`of.simplified_ademamix`."""
    return built(
        scale_by_simplified_ademamix(b1, b2, alpha, eps, eps_root),
        blocks.add_decayed_weights(weight_decay, mask),
        blocks.scale_by_learning_rate(learning_rate),
    )


# --- without a learning rate, or nearly -----------------------------------------------


def scale_by_madgrad(
    learning_rate: ScalarOrSchedule, momentum: float = 0.9, eps: float = 1e-6
) -> GradientTransformationExtraArgs:
    """`of.step_by_madgrad`."""
    naming = Fields(
        states.MadgradState,
        _madgrad.StepByMadgradState,
        ("step", "grad_sum_sq", "s", "x0"),
    )
    rate: Any = learning_rate
    tx = _madgrad.step_by_madgrad(rate, momentum, eps)
    return built(named_and_scheduled(tx, naming, "count", learning_rate))


def madgrad(
    learning_rate: ScalarOrSchedule,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    eps: float = 1e-6,
) -> GradientTransformationExtraArgs:
    """`of.madgrad`."""
    return built(
        blocks.add_decayed_weights(weight_decay),
        scale_by_madgrad(learning_rate, momentum, eps),
    )


def _products_from(gamma: Array, exp_avg: Any) -> Any:
    """Averaged products by parameter; only their sum matters."""
    zeros: list[Any]
    treedef: Any
    zeros, treedef = jax.tree.flatten(scalars_like(exp_avg))
    first = [gamma.astype(z.dtype) for z in zeros[:1]]
    return treedef.unflatten([*first, *zeros[1:]])


def _momo_from_optax(state: Any) -> Any:
    return _momo.StepByMomoState(
        step=state.count,
        loss_avg=as_scalar(state.barf),
        lb=as_scalar(state.lb),
        grad_dot_w=_products_from(state.gamma, state.exp_avg),
        grad_avg=state.exp_avg,
    )


def _momo_to_optax(state: Any, before: Any) -> Any:
    gamma = _momo.total_of(state.grad_dot_w)
    return states.MomoState(state.grad_avg, state.loss_avg, gamma, state.lb, state.step)


def momo(
    learning_rate: ScalarOrSchedule = 1.0,
    beta: ArrayLike = 0.9,
    lower_bound: ArrayLike = 0.0,
    weight_decay: ArrayLike = 0.0,
    adapt_lower_bound: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.momo`, whose decay does not divide the step."""
    rate: Any = learning_rate
    tx = _momo.step_by_momo(
        rate, beta, weight_decay, lower_bound, adapt_lower_bound, divide_step=False
    )
    naming = Converted(states.MomoState, _momo_from_optax, _momo_to_optax)
    return built(named_and_scheduled(tx, naming, "count", learning_rate))


def _momo_adam_from_optax(state: Any) -> Any:
    return _momo_adam.StepByMomoAdamState(
        step=state.count,
        loss_avg=as_scalar(state.barf),
        lb=as_scalar(state.lb),
        grad_dot_w=_products_from(state.gamma, state.exp_avg),
        grad_avg=state.exp_avg,
        grad_avg_sq=state.exp_avg_sq,
    )


def _momo_adam_to_optax(state: Any, before: Any) -> Any:
    return states.MomoAdamState(
        state.grad_avg,
        state.grad_avg_sq,
        state.loss_avg,
        _momo.total_of(state.grad_dot_w),
        state.lb,
        state.step,
    )


def momo_adam(
    learning_rate: ScalarOrSchedule = 1e-2,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    lower_bound: ArrayLike = 0.0,
    weight_decay: ArrayLike = 0.0,
    adapt_lower_bound: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.momo_adam`, whose decay does not divide the step."""
    rate: Any = learning_rate
    tx = _momo_adam.step_by_momo_adam(
        rate,
        (b1, b2),
        eps,
        weight_decay,
        lower_bound,
        adapt_lower_bound,
        divide_step=False,
    )
    naming = Converted(states.MomoAdamState, _momo_adam_from_optax, _momo_adam_to_optax)
    return built(named_and_scheduled(tx, naming, "count", learning_rate))


def _cocob_from_optax(state: Any) -> Any:
    return _cocob.StepByCocobState(
        scale=state.scale,
        grad_norm_sum=state.subgradients,
        reward=state.reward,
        subgradients=state.cumulative_gradients,
        p0=state.init_particles,
        # The rounding error of the last step, which optax does not keep.
        compensation=wide_zeros_like(state.init_particles),
    )


def _cocob_to_optax(state: Any, before: Any) -> Any:
    return states.COCOBState(
        state.p0, state.subgradients, state.scale, state.grad_norm_sum, state.reward
    )


def scale_by_cocob(
    alpha: ArrayLike = 100.0, eps: ArrayLike = 1e-8
) -> GradientTransformationExtraArgs:
    """`of.step_by_cocob`."""
    naming = Converted(states.COCOBState, _cocob_from_optax, _cocob_to_optax)
    return built(named(_cocob.step_by_cocob(1.0, alpha, eps), naming))


def cocob(
    learning_rate: ScalarOrSchedule = 1.0,
    alpha: ArrayLike = 100.0,
    eps: ArrayLike = 1e-8,
    weight_decay: ArrayLike = 0.0,
    mask: MaskOrFn = None,
) -> GradientTransformationExtraArgs:
    """`of.cocob`."""
    return built(
        blocks.add_decayed_weights(weight_decay, mask),
        blocks.scale_by_learning_rate(learning_rate, flip_sign=False),
        scale_by_cocob(alpha, eps),
    )


def _prodigy_from_optax(state: Any) -> Any:
    return _prodigy.StepByProdigyState(
        step=state.count,
        d=as_scalar(state.estim_lr),
        d_max=as_scalar(state.estim_lr),
        d_numerator=as_scalar(state.numerator_weighted),
        exp_avg=state.exp_avg,
        exp_avg_sq=state.exp_avg_sq,
        s=state.grad_sum,
        p0=state.params0,
        compensation=wide_zeros_like(state.params0),
        decay=(),
    )


def _prodigy_to_optax(state: Any, before: Any) -> Any:
    return states.ProdigyState(
        state.exp_avg,
        state.exp_avg_sq,
        state.s,
        state.p0,
        state.d,
        state.d_numerator,
        state.step,
    )


def prodigy(
    learning_rate: ScalarOrSchedule = 1.0,
    betas: tuple[ArrayLike, ArrayLike] = (0.9, 0.999),
    beta3: ArrayLike | None = None,
    eps: ArrayLike = 1e-8,
    estim_lr0: ArrayLike = 1e-6,
    estim_lr_coef: ArrayLike = 1.0,
    weight_decay: ArrayLike = 0.0,
    safeguard_warmup: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.prodigy` with its correction of the bias."""
    rate: Any = learning_rate
    tx = _prodigy.step_by_prodigy(
        our_identity() if is_zero(weight_decay) else our_decay(weight_decay),
        rate,
        betas,
        beta3,
        eps,
        use_bias_correction=True,
        safeguard_warmup=safeguard_warmup,
        d0=estim_lr0,
        d_coef=estim_lr_coef,
    )
    naming = Converted(states.ProdigyState, _prodigy_from_optax, _prodigy_to_optax)
    return built(named_and_scheduled(tx, naming, "count", learning_rate))
