"""optax's optimizers whose state or arguments differ in layout from ours."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ...optimizers import (
    _adan,
    _fromage,
    _optimistic,
    _polyak_sgd,
    _radam,
    _sm3,
    _yogi,
)
from ...transforms._scaling import negate
from ...wrappers._chain import chain as our_chain
from ...wrappers._scheduled import ScheduledState, scheduled
from . import _blocks as blocks, _states as states
from ._more_transforms import ema
from ._naming import Converted, Fields, named
from ._optimizers import sgd
from ._transformation import (
    GradientTransformationExtraArgs,
    MaskOrFn,
    ScalarOrSchedule,
    built,
)

_MOMENTS = ("mu", "nu")


# --- Yogi and RAdam -------------------------------------------------------------------


def scale_by_yogi(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-3,
    eps_root: ArrayLike = 0.0,
    initial_accumulator_value: ArrayLike = 1e-6,
) -> GradientTransformationExtraArgs:
    """`of.scale_by_yogi`."""
    tx = _yogi.scale_by_yogi(
        (b1, b2), eps, initial_accumulator_value, eps_root=blocks.none_if_zero(eps_root)
    )
    return built(named(tx, _like_adam(_yogi.ScaleByYogiState), _MOMENTS))


def _like_adam(ours: Any) -> Fields:
    return Fields(states.ScaleByAdamState, ours, ("step", "exp_avg", "exp_avg_sq"))


def yogi(
    learning_rate: ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-3,
) -> GradientTransformationExtraArgs:
    """`of.yogi`."""
    return built(
        scale_by_yogi(b1, b2, eps), blocks.scale_by_learning_rate(learning_rate)
    )


def scale_by_radam(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    threshold: ArrayLike = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.scale_by_radam` with ``eps`` added after the correction."""
    tx = _radam.scale_by_radam(
        (b1, b2),
        eps,
        eps_after_correction=True,
        eps_root=blocks.none_if_zero(eps_root),
        threshold=threshold,
        nesterov=nesterov,
    )
    return built(named(tx, _like_adam(_radam.ScaleByRadamState), _MOMENTS))


def radam(
    learning_rate: ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    threshold: ArrayLike = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.radam` with ``eps`` added after the correction."""
    return built(
        scale_by_radam(b1, b2, eps, eps_root, threshold, nesterov=nesterov),
        blocks.scale_by_learning_rate(learning_rate),
    )


# --- Adan -----------------------------------------------------------------------------


def _adan_from_optax(state: Any) -> Any:
    previous = jax.tree.map(jnp.negative, state.g)
    return _adan.ScaleByAdanState(state.t, state.m, state.v, state.n, previous)


def _adan_to_optax(state: Any, before: Any) -> Any:
    step, m, v, n, previous = state
    return states.ScaleByAdanState(m, v, n, jax.tree.map(jnp.negative, previous), step)


def scale_by_adan(
    b1: ArrayLike = 0.98,
    b2: ArrayLike = 0.92,
    b3: ArrayLike = 0.99,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
) -> GradientTransformationExtraArgs:
    """`of.scale_by_adan` with the weight ``1 - b2`` for differences."""
    naming = Converted(states.ScaleByAdanState, _adan_from_optax, _adan_to_optax)
    return built(
        named(_adan.scale_by_adan((b1, b2, b3), eps, eps_root, 1 - b2), naming)
    )


def adan(
    learning_rate: ScalarOrSchedule,
    b1: ArrayLike = 0.98,
    b2: ArrayLike = 0.92,
    b3: ArrayLike = 0.99,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn = None,
) -> GradientTransformationExtraArgs:
    """`of.adan` without proximal decay, with the weight ``1 - b2`` for differences."""
    return built(
        scale_by_adan(b1, b2, b3, eps, eps_root),
        blocks.add_decayed_weights(weight_decay, mask),
        blocks.scale_by_learning_rate(learning_rate),
    )


# --- SM3 ------------------------------------------------------------------------------


def _sm3_from_optax(state: Any) -> Any:
    leaves: list[Any]
    treedef: Any
    leaves, treedef = jax.tree.flatten(state.nu)

    def expanded(leaf: Array, vectors: list[Array]) -> tuple[Array, ...]:
        if leaf.ndim < 2:
            return tuple(vectors)
        shapes = (
            [n if i == axis else 1 for i, n in enumerate(leaf.shape)]
            for axis in range(leaf.ndim)
        )
        return tuple(v.reshape(s) for v, s in zip(vectors, shapes, strict=True))

    parts = treedef.flatten_up_to(state.mu)
    accumulators = treedef.unflatten(map(expanded, leaves, parts))
    return _sm3.ScaleBySm3State(accumulators, state.nu)


def _sm3_to_optax(state: Any, before: Any) -> Any:
    leaves: list[Any]
    treedef: Any
    leaves, treedef = jax.tree.flatten(state.momentum_buffer)

    def vectors(leaf: Array, accumulators: tuple[Array, ...]) -> list[Array]:
        if leaf.ndim < 2:
            return [*accumulators]
        return [a.reshape(a.size) for a in accumulators]

    parts = treedef.flatten_up_to(state.accumulators)
    mu = treedef.unflatten(map(vectors, leaves, parts))
    return states.ScaleBySM3State(mu, state.momentum_buffer)


def scale_by_sm3(
    b1: ArrayLike = 0.9, b2: ArrayLike = 1.0, eps: ArrayLike = 1e-8
) -> GradientTransformationExtraArgs:
    """`of.scale_by_sm3`."""
    naming = Converted(states.ScaleBySM3State, _sm3_from_optax, _sm3_to_optax)
    return built(named(_sm3.scale_by_sm3(b1, b2, eps), naming))


def sm3(
    learning_rate: ArrayLike, momentum: ArrayLike = 0.9
) -> GradientTransformationExtraArgs:
    """`of.sm3`."""
    return built(scale_by_sm3(momentum), blocks.scale_by_learning_rate(learning_rate))


# --- optimism, signs, relative steps --------------------------------------------------


def _optimism_from_optax(state: Any) -> Any:
    step = jnp.where(state.is_initial_step, 0, 1).astype(jnp.int32)
    return _optimistic.ScaleByOptimismState(step, state.previous_gradient)


def _optimism_to_optax(state: Any, before: Any) -> Any:
    return states.ScaleByOptimisticGradientState(state.step == 0, state.previous)


def scale_by_optimistic_gradient(
    alpha: ArrayLike = 1.0, beta: ArrayLike = 1.0
) -> GradientTransformationExtraArgs:
    """`of.scale_by_optimism`."""
    return built(_optimistic_gradient(alpha, beta))


def _optimistic_gradient(alpha: Any, beta: Any) -> named:
    naming = Converted(
        states.ScaleByOptimisticGradientState, _optimism_from_optax, _optimism_to_optax
    )
    return named(_optimistic.scale_by_optimism(alpha, beta), naming)


def optimistic_gradient_descent(
    learning_rate: ScalarOrSchedule,
    alpha: ScalarOrSchedule = 1.0,
    beta: ScalarOrSchedule = 1.0,
) -> GradientTransformationExtraArgs:
    """`of.optimistic_gradient_descent`."""
    return built(
        _optimistic_gradient(alpha, beta),
        blocks.scale_by_learning_rate(learning_rate),
    )


def optimistic_adam_v2(
    learning_rate: ScalarOrSchedule,
    *,
    alpha: ArrayLike = 1.0,
    beta: ArrayLike = 1.0,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: Any | None = None,
    nesterov: bool = True,
) -> GradientTransformationExtraArgs:
    """`of.optimistic_adam`."""
    return built(
        blocks.scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_optimistic_gradient(alpha, beta),
        blocks.scale_by_learning_rate(learning_rate),
    )


def optimistic_adam(
    learning_rate: ArrayLike,
    optimism: ArrayLike | None = None,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: Any | None = None,
    *,
    nesterov: bool = True,
) -> GradientTransformationExtraArgs:
    """`of.optimistic_adam`, whose weights are the learning rate and ``optimism``.

    **Raises:** `ValueError` for a schedule, as optax does.
    """
    if callable(learning_rate):
        raise ValueError(
            f"learning_rate of optimistic_adam must be a number, found "
            f"{learning_rate!r}; optimistic_adam_v2 takes a schedule"
        )
    return optimistic_adam_v2(
        1.0,
        alpha=learning_rate,
        beta=learning_rate if optimism is None else optimism,
        b1=b1,
        b2=b2,
        eps=eps,
        eps_root=eps_root,
        mu_dtype=mu_dtype,
        nesterov=nesterov,
    )


def signum(
    learning_rate: ScalarOrSchedule,
    beta: ArrayLike = 0.9,
    accumulator_dtype: Any | None = None,
) -> GradientTransformationExtraArgs:
    """`of.signum`."""
    return built(
        ema(beta, False, accumulator_dtype),
        blocks.scale_by_sign(),
        blocks.scale_by_learning_rate(learning_rate),
    )


def _fromage_from_optax(state: Any) -> Any:
    return ScheduledState(state[1].count, ())


def _fromage_to_optax(state: Any, before: Any) -> Any:
    return (
        states.EmptyState(),
        states.ScaleByScheduleState(state.step),
        states.WeightDecaySchedule(state.step),
    )


def fromage(
    learning_rate: ScalarOrSchedule, min_norm: ArrayLike = 1e-6
) -> GradientTransformationExtraArgs:
    """`of.fromage`."""
    step = _fromage.step_by_fromage(learning_rate, min_norm)
    if not callable(learning_rate):
        return built(blocks.stateless_block(step), blocks.identity(), blocks.identity())
    naming = Converted(tuple, _fromage_from_optax, _fromage_to_optax)
    return built(named(scheduled(step), naming))


def scale_by_polyak(
    f_min: ArrayLike = 0.0,
    max_learning_rate: ArrayLike = 1.0,
    eps: ArrayLike = 0.0,
    variant: str = "sps",
) -> GradientTransformationExtraArgs:
    """`of.step_by_polyak_sgd`, negated."""
    own: Any = variant
    step = _polyak_sgd.step_by_polyak_sgd(
        max_learning_rate, f_min=f_min, eps=eps, variant=own
    )
    naming = Converted(states.EmptyState, _polyak_from_optax, _to_nothing)
    return built(named(our_chain(step, negate()), naming))


def _polyak_from_optax(state: Any) -> Any:
    # The step count has no effect.
    return (_polyak_sgd.StepByPolyakSgdState(jnp.zeros((), jnp.int32)), ())


def _to_nothing(state: Any, before: Any) -> Any:
    return states.EmptyState()


def polyak_sgd(
    max_learning_rate: ArrayLike = 1.0,
    scaling: ScalarOrSchedule = 1.0,
    f_min: ArrayLike = 0.0,
    eps: ArrayLike = 0.0,
    variant: str = "sps",
) -> GradientTransformationExtraArgs:
    """`of.polyak_sgd`, whose ratio takes the norm of the scaled gradients."""
    return built(sgd(scaling), scale_by_polyak(f_min, max_learning_rate, eps, variant))
