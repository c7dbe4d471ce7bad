"""optax's optimizers, assembled from its blocks as in optax."""

from __future__ import annotations

from typing import Any

from jax.typing import ArrayLike

from . import _blocks as blocks
from ._transformation import (
    GradientTransformationExtraArgs,
    MaskOrFn,
    ScalarOrSchedule,
    built,
)


def adabelief(
    learning_rate: ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-16,
    eps_root: ArrayLike = 1e-16,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.adabelief`."""
    return built(
        blocks.scale_by_belief(b1, b2, eps, eps_root, nesterov=nesterov),
        blocks.scale_by_learning_rate(learning_rate),
    )


def adadelta(
    learning_rate: ScalarOrSchedule | None = None,
    rho: ArrayLike = 0.9,
    eps: ArrayLike = 1e-6,
    weight_decay: ArrayLike = 0.0,
    weight_decay_mask: MaskOrFn = None,
) -> GradientTransformationExtraArgs:
    """`of.adadelta`."""
    return built(
        blocks.add_decayed_weights(weight_decay, weight_decay_mask),
        blocks.scale_by_adadelta(rho, eps),
        blocks.scale_by_learning_rate(learning_rate),
    )


def adagrad(
    learning_rate: ScalarOrSchedule,
    initial_accumulator_value: ArrayLike = 0.1,
    eps: ArrayLike = 1e-7,
) -> GradientTransformationExtraArgs:
    """`of.adagrad` with another start, and ``eps`` inside the root."""
    return built(
        blocks.scale_by_rss(initial_accumulator_value, eps),
        blocks.scale_by_learning_rate(learning_rate),
    )


def adam(
    learning_rate: ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: Any | None = None,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.adam`."""
    return built(
        blocks.scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        blocks.scale_by_learning_rate(learning_rate),
    )


def adamw(
    learning_rate: ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: Any | None = None,
    weight_decay: ArrayLike = 1e-4,
    mask: MaskOrFn = None,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.adamw` with a decay of 1e-4."""
    return built(
        blocks.scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        blocks.add_decayed_weights(weight_decay, mask),
        blocks.scale_by_learning_rate(learning_rate),
    )


def nadam(
    learning_rate: ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: Any | None = None,
    *,
    nesterov: bool = True,
) -> GradientTransformationExtraArgs:
    """`of.adam` with ``nesterov``; torch's, which is `of.nadam`, differs."""
    return adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)


def nadamw(
    learning_rate: ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: Any | None = None,
    weight_decay: ArrayLike = 1e-4,
    mask: MaskOrFn = None,
    *,
    nesterov: bool = True,
) -> GradientTransformationExtraArgs:
    """The same with decoupled decay."""
    return adamw(
        learning_rate,
        b1,
        b2,
        eps,
        eps_root,
        mu_dtype,
        weight_decay,
        mask,
        nesterov=nesterov,
    )


def adamax(
    learning_rate: ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
) -> GradientTransformationExtraArgs:
    """`of.adamax`."""
    return built(
        blocks.scale_by_adamax(b1, b2, eps),
        blocks.scale_by_learning_rate(learning_rate),
    )


def adamaxw(
    learning_rate: ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    weight_decay: ArrayLike = 1e-4,
    mask: MaskOrFn = None,
) -> GradientTransformationExtraArgs:
    """`of.adamax` with decoupled decay."""
    return built(
        blocks.scale_by_adamax(b1, b2, eps),
        blocks.add_decayed_weights(weight_decay, mask),
        blocks.scale_by_learning_rate(learning_rate),
    )


def lion(
    learning_rate: ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.99,
    mu_dtype: Any | None = None,
    weight_decay: ArrayLike = 1e-3,
    mask: MaskOrFn = None,
) -> GradientTransformationExtraArgs:
    """`of.lion` with a decay of 1e-3."""
    return built(
        blocks.scale_by_lion(b1, b2, mu_dtype),
        blocks.add_decayed_weights(weight_decay, mask),
        blocks.scale_by_learning_rate(learning_rate),
    )


def lamb(
    learning_rate: ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-6,
    eps_root: ArrayLike = 0.0,
    weight_decay: ArrayLike = 0.0,
    mask: MaskOrFn = None,
) -> GradientTransformationExtraArgs:
    """`of.lamb`."""
    return built(
        blocks.scale_by_adam(b1, b2, eps, eps_root),
        blocks.add_decayed_weights(weight_decay, mask),
        blocks.scale_by_trust_ratio(),
        blocks.scale_by_learning_rate(learning_rate),
    )


def lars(
    learning_rate: ScalarOrSchedule,
    weight_decay: ArrayLike = 0.0,
    weight_decay_mask: MaskOrFn = True,
    trust_coefficient: ArrayLike = 0.001,
    eps: ArrayLike = 0.0,
    trust_ratio_mask: MaskOrFn = True,
    momentum: ArrayLike = 0.9,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.lars` with the learning rate before the momentum."""
    return built(
        blocks.add_decayed_weights(weight_decay, weight_decay_mask),
        blocks.masked(
            blocks.scale_by_trust_ratio(trust_coefficient=trust_coefficient, eps=eps),
            trust_ratio_mask,
        ),
        blocks.scale_by_learning_rate(learning_rate),
        blocks.trace(momentum, nesterov),
    )


def rmsprop(
    learning_rate: ScalarOrSchedule,
    decay: ArrayLike = 0.9,
    eps: ArrayLike = 1e-8,
    initial_scale: ArrayLike = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: ArrayLike | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.rmsprop` with the learning rate before the momentum."""
    scale_by = blocks.scale_by_stddev if centered else blocks.scale_by_rms
    return built(
        scale_by(decay, eps, initial_scale, eps_in_sqrt, bias_correction),
        blocks.scale_by_learning_rate(learning_rate),
        blocks.identity() if momentum is None else blocks.trace(momentum, nesterov),
    )


def sgd(
    learning_rate: ScalarOrSchedule,
    momentum: ArrayLike | None = None,
    nesterov: bool = False,
    accumulator_dtype: Any | None = None,
) -> GradientTransformationExtraArgs:
    """`of.sgd`; a momentum of None keeps no buffer."""
    return built(
        blocks.identity()
        if momentum is None
        else blocks.trace(momentum, nesterov, accumulator_dtype),
        blocks.scale_by_learning_rate(learning_rate),
    )


def sign_sgd(learning_rate: ScalarOrSchedule) -> GradientTransformationExtraArgs:
    """Descent by the signs of the gradients."""
    return built(blocks.scale_by_sign(), blocks.scale_by_learning_rate(learning_rate))
