"""optax's building blocks: its names, arguments and defaults on top of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ..._numerics import is_number
from ..._transformation import Empty, identity as our_identity
from ..._tree import PyTree
from ...optimizers import _adabelief, _adadelta, _adagrad, _adam, _adamax, _lion
from ...optimizers._rmsprop import ScaleByRmspropState, scale_by_rmsprop
from ...transforms import (
    _centralize,
    _clipping,
    _momentum,
    _scaling,
    _trust_ratio,
    _weight_decay,
    _zero_nans,
)
from ...wrappers._masked import MaskedState as OurMaskedState, masked as our_masked
from ...wrappers._scheduled import ScheduledState, scheduled
from . import _states as states
from ._naming import Fields, named
from ._transformation import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    MaskOrFn,
    ScalarOrSchedule,
    Schedule,
    built,
)

EMPTY = Fields(states.EmptyState)


def dtype_or_none(dtype: Any) -> Any:
    """A JAX dtype."""
    return None if dtype is None else jnp.dtype(jax.dtypes.canonicalize_dtype(dtype))


def none_if_zero(eps_root: ArrayLike) -> ArrayLike | None:
    """``eps_root`` in the form of our transformations, where None costs nothing."""
    return None if is_number(eps_root) and eps_root == 0 else eps_root


def stateless_block(tx: Any) -> Any:
    """``tx``, with optax's empty state."""
    return named(tx, EMPTY)


def identity() -> GradientTransformationExtraArgs:
    """`of.identity`."""
    return built(stateless_block(our_identity()))


def set_to_zero() -> GradientTransformationExtraArgs:
    """`of.set_to_zero`."""
    return built(stateless_block(_scaling.set_to_zero()))


def scale(step_size: ArrayLike) -> GradientTransformationExtraArgs:
    """`of.scale`."""
    return built(stateless_block(_scaling.scale(step_size)))


def scale_by_sign() -> GradientTransformationExtraArgs:
    """`of.scale_by_sign`."""
    return built(stateless_block(_scaling.scale_by_sign()))


def scale_by_schedule(step_size_fn: Schedule) -> GradientTransformationExtraArgs:
    """`of.scale` by a schedule."""
    return built(_follows(_scaling.scale(step_size_fn), states.ScaleByScheduleState))


def _follows(tx: Any, state: Any) -> Any:
    """``tx`` without its own state, and with a schedule."""
    return named(scheduled(tx), Fields(state, ScheduledState, ("step",)))


def scale_by_learning_rate(
    learning_rate: ScalarOrSchedule | None = None, *, flip_sign: bool = True
) -> GradientTransformationExtraArgs:
    """`of.scale_by_learning_rate`; a negative number climbs, as in optax."""
    if learning_rate is None:
        return identity()
    is_negative = is_number(learning_rate) and learning_rate < 0  # type: ignore[operator]
    if not flip_sign:
        tx: Any = _scaling.scale(learning_rate)
    elif is_negative:
        tx = _scaling.scale(-learning_rate)  # type: ignore[operator]
    else:
        tx = _scaling.scale_by_learning_rate(learning_rate)
    if callable(learning_rate):
        return built(_follows(tx, states.ScaleByScheduleState))
    return built(stateless_block(tx))


def add_decayed_weights(
    weight_decay: ScalarOrSchedule = 0.0, mask: MaskOrFn = None
) -> GradientTransformationExtraArgs:
    """`of.add_decayed_weights`, inside `of.masked` if there is a mask."""
    tx: Any = _weight_decay.add_decayed_weights(weight_decay)
    if is_number(weight_decay) and weight_decay == 0:
        tx = stateless_block(our_identity())
    elif callable(weight_decay):
        tx = _follows(tx, states.WeightDecaySchedule)
    else:
        tx = stateless_block(tx)
    return built(tx) if mask is None else masked(built(tx), mask)


def masked(
    inner: GradientTransformation,
    mask: MaskOrFn,
    *,
    mask_compatible_extra_args: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.masked`, which also adapts extra arguments that are like the parameters."""
    naming = Fields(states.MaskedState, OurMaskedState, ("inner",))
    return built(named(our_masked(inner, mask), naming))


def clip(max_delta: ArrayLike) -> GradientTransformationExtraArgs:
    """`of.clip`."""
    return built(stateless_block(_clipping.clip(max_delta)))


def clip_by_global_norm(max_norm: ArrayLike) -> GradientTransformationExtraArgs:
    """`of.clip_by_global_norm`, without torch's 1e-6."""
    return built(stateless_block(_clipping.clip_by_global_norm(max_norm, eps=0.0)))


def clip_by_block_rms(threshold: ArrayLike) -> GradientTransformationExtraArgs:
    """`of.clip_by_block_rms`."""
    return built(stateless_block(_clipping.clip_by_block_rms(threshold)))


def adaptive_grad_clip(
    clipping: ArrayLike,
    eps: ArrayLike = 1e-3,
    axis: int | tuple[int, ...] | None = None,
) -> GradientTransformationExtraArgs:
    """`of.adaptive_grad_clip`."""
    return built(stateless_block(_clipping.adaptive_grad_clip(clipping, eps, axis)))


def centralize() -> GradientTransformationExtraArgs:
    """`of.centralize` with the outputs along the first axis."""
    return built(stateless_block(_centralize.centralize(output_axis=0)))


def scale_by_trust_ratio(
    min_norm: ArrayLike = 0.0, trust_coefficient: ArrayLike = 1.0, eps: ArrayLike = 0.0
) -> GradientTransformationExtraArgs:
    """`of.scale_by_trust_ratio`."""
    tx = _trust_ratio.scale_by_trust_ratio(min_norm, trust_coefficient, eps)
    return built(stateless_block(tx))


def trace(
    decay: ArrayLike, nesterov: bool = False, accumulator_dtype: Any | None = None
) -> GradientTransformationExtraArgs:
    """`of.momentum`."""
    naming = Fields(
        states.TraceState,
        _momentum.MomentumState,
        ("momentum_buffer",),
        (("trace", dtype_or_none(accumulator_dtype)),),
        counts=("step",),
    )
    # Without momentum, there is nothing to look ahead to.
    ahead = nesterov and not (is_number(decay) and decay == 0)
    return built(named(_momentum.momentum(decay, 0.0, ahead), naming, ("trace",)))


_MOMENTS = ("mu", "nu")


def scale_by_adam(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: Any | None = None,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.scale_by_adam`."""
    naming = Fields(
        states.ScaleByAdamState,
        _adam.ScaleByAdamState,
        ("step", "exp_avg", "exp_avg_sq"),
        (("mu", dtype_or_none(mu_dtype)),),
        moduli=("nu",),
    )
    tx = _adam.scale_by_adam(
        (b1, b2),
        eps,
        nesterov=nesterov,
        eps_root=none_if_zero(eps_root),
        by_modulus=True,
    )
    return built(named(tx, naming, _MOMENTS))


def scale_by_adamax(
    b1: ArrayLike = 0.9, b2: ArrayLike = 0.999, eps: ArrayLike = 1e-8
) -> GradientTransformationExtraArgs:
    """`of.scale_by_adamax`."""
    naming = Fields(
        states.ScaleByAdamState,
        _adamax.ScaleByAdamaxState,
        ("step", "exp_avg", "exp_inf"),
    )
    return built(named(_adamax.scale_by_adamax((b1, b2), eps), naming, _MOMENTS))


def scale_by_belief(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-16,
    eps_root: ArrayLike = 1e-16,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.scale_by_adabelief`."""
    naming = Fields(
        states.ScaleByBeliefState,
        _adabelief.ScaleByAdabeliefState,
        ("step", "exp_avg", "exp_avg_var"),
    )
    tx = _adabelief.scale_by_adabelief((b1, b2), eps, eps_root, nesterov)
    return built(named(tx, naming, _MOMENTS))


def scale_by_lion(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.99,
    mu_dtype: Any | None = None,
    *,
    mode: Literal["hard", "smooth", "refined"] = "hard",
    smooth_beta: ArrayLike = 1.0,
) -> GradientTransformationExtraArgs:
    """`of.scale_by_lion`."""
    naming = Fields(
        states.ScaleByLionState,
        _lion.ScaleByLionState,
        (None, "exp_avg"),
        (("mu", dtype_or_none(mu_dtype)),),
    )
    own: Any = "sign" if mode == "hard" else mode
    tx = _lion.scale_by_lion((b1, b2), own, smooth_beta)
    return built(named(tx, naming, ("mu",)))


def scale_by_adadelta(
    rho: ArrayLike = 0.9, eps: ArrayLike = 1e-6
) -> GradientTransformationExtraArgs:
    """`of.scale_by_adadelta`."""
    naming = Fields(
        states.ScaleByAdaDeltaState,
        _adadelta.ScaleByAdadeltaState,
        ("square_avg", "acc_delta"),
    )
    return built(named(_adadelta.scale_by_adadelta(rho, eps), naming, ("e_g", "e_x")))


def scale_by_rss(
    initial_accumulator_value: ArrayLike = 0.1, eps: ArrayLike = 1e-7
) -> GradientTransformationExtraArgs:
    """`of.scale_by_adagrad`, with ``eps`` inside the root."""
    naming = Fields(
        states.ScaleByRssState,
        _adagrad.ScaleByAdagradState,
        ("sum",),
        counts=("step",),
        moduli=("sum_of_squares",),
    )
    tx = _adagrad.scale_by_adagrad(
        0.0, initial_accumulator_value, eps, eps_in_sqrt=True, by_modulus=True
    )
    return built(named(tx, naming, ("sum_of_squares",)))


def scale_by_rms(
    decay: ArrayLike = 0.9,
    eps: ArrayLike = 1e-8,
    initial_scale: ArrayLike = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.scale_by_rmsprop`."""
    state: Any = states.ScaleByRmsState
    names: tuple[str, ...] = ("square_avg",)
    if bias_correction:
        state, names = states.ScaleByRmsWithCountState, ("step", *names)
    tx = scale_by_rmsprop(
        decay,
        eps,
        initial_scale=initial_scale,
        eps_in_sqrt=eps_in_sqrt,
        bias_correction=bias_correction,
        by_modulus=True,
    )
    return built(named(tx, _of_rmsprop(state, names), ("nu",)))


def scale_by_stddev(
    decay: ArrayLike = 0.9,
    eps: ArrayLike = 1e-8,
    initial_scale: ArrayLike = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.scale_by_rmsprop`, centered."""
    state: Any = states.ScaleByRStdDevState
    names: tuple[str, ...] = ("grad_avg", "square_avg")
    if bias_correction:
        state, names = states.ScaleByRStdDevWithCountState, ("step", *names)
    tx = scale_by_rmsprop(
        decay,
        eps,
        centered=True,
        initial_scale=initial_scale,
        eps_in_sqrt=eps_in_sqrt,
        bias_correction=bias_correction,
        by_modulus=True,
    )
    return built(named(tx, _of_rmsprop(state, names), _MOMENTS))


def _of_rmsprop(state: Any, names: tuple[str, ...]) -> Fields:
    return Fields(state, ScaleByRmspropState, names, moduli=("nu",))


def _without_marks(params: PyTree) -> states.ZeroNansState:
    return states.ZeroNansState(jax.tree.map(lambda p: jnp.array(False), params))


def _marked(
    updates: PyTree, state: states.ZeroNansState, params: PyTree | None = None
) -> tuple[PyTree, states.ZeroNansState]:
    found = jax.tree.map(lambda u: jnp.any(jnp.isnan(u)), updates)
    return _zero_nans.zero_nans().apply(updates), states.ZeroNansState(found)


def zero_nans() -> GradientTransformation:
    """`of.zero_nans`; the state says which leaves had a NaN."""
    return GradientTransformation(_without_marks, _marked)


def stateless(
    f: Callable[[PyTree, PyTree | None], PyTree],
) -> GradientTransformation:
    """A function of ``(updates, params)`` as a transformation."""

    def update(
        updates: PyTree, state: Empty, params: PyTree | None = None
    ) -> tuple[PyTree, Empty]:
        return f(updates, params), state

    return GradientTransformation(init_empty_state, update)


def stateless_with_tree_map(
    f: Callable[[Any, Any | None], Any],
) -> GradientTransformation:
    """The same for a function of leaves."""

    def of_trees(updates: PyTree, params: PyTree | None) -> PyTree:
        if params is None:
            return jax.tree.map(lambda u: f(u, None), updates)
        return jax.tree.map(f, updates, params)

    return stateless(of_trees)


def init_empty_state(params: PyTree) -> states.EmptyState:
    """The state of transformations without state."""
    return states.EmptyState()


def with_extra_args_support(
    tx: GradientTransformation,
) -> GradientTransformationExtraArgs:
    """``tx`` itself: here every ``update`` takes extra arguments."""
    return tx if isinstance(tx, GradientTransformationExtraArgs) else built(tx)
