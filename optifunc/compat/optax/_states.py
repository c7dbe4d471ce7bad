"""optax's states: the same fields, in the same order, with this library's roles.

The classes are named as optax's, so that programs find them and a checkpoint of optax
has the structure of a state here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..._state import NonNegative, PerParameter, Restarting, Shared


class EmptyState(NamedTuple):
    """State of transformations without state."""


class MaskedNode(NamedTuple):
    """optax's placeholder for leaves that a mask hides; here, that is None."""


class ScaleByAdamState(NamedTuple):
    """State of `scale_by_adam` and similar transformations."""

    count: Shared  # type: ignore[assignment]
    mu: PerParameter
    nu: NonNegative


class ScaleByBeliefState(NamedTuple):
    """State of `scale_by_belief`."""

    count: Shared  # type: ignore[assignment]
    mu: PerParameter
    nu: NonNegative


class ScaleByLionState(NamedTuple):
    """State of `scale_by_lion`."""

    count: Shared  # type: ignore[assignment]
    mu: PerParameter


class ScaleByAdaDeltaState(NamedTuple):
    """State of `scale_by_adadelta`."""

    e_g: NonNegative
    e_x: NonNegative


class ScaleByRmsState(NamedTuple):
    """State of `scale_by_rms`."""

    nu: NonNegative


class ScaleByRmsWithCountState(NamedTuple):
    """State of `scale_by_rms` with a correction of the bias."""

    count: Shared  # type: ignore[assignment]
    nu: NonNegative


class ScaleByRStdDevState(NamedTuple):
    """State of `scale_by_stddev`."""

    mu: PerParameter
    nu: NonNegative


class ScaleByRStdDevWithCountState(NamedTuple):
    """State of `scale_by_stddev` with a correction of the bias."""

    count: Shared  # type: ignore[assignment]
    mu: PerParameter
    nu: NonNegative


class ScaleByRssState(NamedTuple):
    """State of `scale_by_rss`."""

    sum_of_squares: NonNegative


class ScaleByAdanState(NamedTuple):
    """State of `scale_by_adan`."""

    m: PerParameter
    v: PerParameter
    n: NonNegative
    g: PerParameter
    t: Shared


class ScaleBySM3State(NamedTuple):
    """State of `scale_by_sm3`: a list for each parameter, one entry per axis."""

    mu: NonNegative
    nu: PerParameter


class ScaleByOptimisticGradientState(NamedTuple):
    """State of `scale_by_optimistic_gradient`."""

    is_initial_step: Shared
    previous_gradient: PerParameter


class FactoredState(NamedTuple):
    """State of `scale_by_factored_rms`; what a parameter lacks has the shape [1]."""

    count: Shared  # type: ignore[assignment]
    v_row: NonNegative
    v_col: NonNegative
    v: NonNegative


class TraceState(NamedTuple):
    """State of `trace`."""

    trace: Restarting


class ScaleByScheduleState(NamedTuple):
    """State of `scale_by_schedule`, and of a learning rate that is a schedule."""

    count: Shared  # type: ignore[assignment]


class WeightDecaySchedule(NamedTuple):
    """State of `add_decayed_weights` with a schedule."""

    count: Shared  # type: ignore[assignment]


class ZeroNansState(NamedTuple):
    """State of `zero_nans`: whether each leaf last had a NaN."""

    found_nan: Any


class MaskedState(NamedTuple):
    """State of `masked`."""

    inner_state: Any


class PartitionState(NamedTuple):
    """State of `partition`: a `MaskedState` for each label."""

    inner_states: Any


class ApplyIfFiniteState(NamedTuple):
    """State of `apply_if_finite`."""

    notfinite_count: Shared
    last_finite: Shared
    total_notfinite: Shared
    inner_state: Any


class ConditionallyTransformState(NamedTuple):
    """State of `conditionally_transform`."""

    inner_state: Any
    step: Shared


class ConditionallyMaskState(NamedTuple):
    """State of `conditionally_mask`."""

    step: Shared
    inner_state: Any


class MultiStepsState(NamedTuple):
    """State of `MultiSteps`."""

    mini_step: Shared
    gradient_step: Shared
    inner_opt_state: Any
    acc_grads: PerParameter
    skip_state: Any = ()


class WrappedScheduleState(NamedTuple):
    """State of a schedule among injected hyperparameters."""

    count: Shared  # type: ignore[assignment]


class InjectStatefulHyperparamsState(NamedTuple):
    """State of `inject_hyperparams`; ``hyperparams`` are those of the last update."""

    count: Shared  # type: ignore[assignment]
    hyperparams: dict[str, Any]
    hyperparams_states: dict[str, Any]
    inner_state: Any


class InjectHyperparamsState(NamedTuple):
    """The same in older versions of optax."""

    count: Shared  # type: ignore[assignment]
    hyperparams: dict[str, Any]
    inner_state: Any


class EmaState(NamedTuple):
    """State of `ema`."""

    count: Shared  # type: ignore[assignment]
    ema: PerParameter


class AddNoiseState(NamedTuple):
    """State of `add_noise`."""

    count: Shared  # type: ignore[assignment]
    rng_key: Shared


class ApplyEvery(NamedTuple):
    """State of `apply_every`."""

    count: Shared  # type: ignore[assignment]
    grad_acc: PerParameter


class SnapshotState(NamedTuple):
    """State of `snapshot`."""

    measurement: dict[str, Any]


class MonitorState(NamedTuple):
    """State of `monitor`; ``measurements`` are 0 before the first update."""

    measurements: dict[str, Any]
    measure_states: tuple[Any, ...]


class LookaheadState(NamedTuple):
    """State of `lookahead`."""

    fast_state: Any
    steps_since_sync: Shared


class LookaheadParams(NamedTuple):
    """The parameters of `lookahead`: gradients are taken at the fast ones."""

    fast: Any
    slow: Any

    @classmethod
    def init_synced(cls, params: Any) -> LookaheadParams:
        """Both are ``params``."""
        return cls(fast=params, slow=params)


class BacktrackingLinesearchInfo(NamedTuple):
    """How the last search of `scale_by_backtracking_linesearch` ended."""

    num_linesearch_steps: Shared
    decrease_error: Shared


class ScaleByBacktrackingLinesearchState(NamedTuple):
    """State of `scale_by_backtracking_linesearch`."""

    learning_rate: Shared
    value: Shared
    grad: PerParameter | None
    info: Any


class ZoomLinesearchInfo(NamedTuple):
    """How the last search of `scale_by_zoom_linesearch` ended."""

    num_linesearch_steps: Shared
    decrease_error: Shared
    curvature_error: Shared


class ScaleByZoomLinesearchState(NamedTuple):
    """State of `scale_by_zoom_linesearch`."""

    learning_rate: Shared
    value: Shared
    grad: PerParameter
    info: Any


class ScaleByLBFGSState(NamedTuple):
    """State of `scale_by_lbfgs`; each leaf of the memories has a row for each pair."""

    count: Shared  # type: ignore[assignment]
    params: PerParameter
    updates: PerParameter
    diff_params_memory: PerParameter
    diff_updates_memory: PerParameter
    weights_memory: Shared


# What optax calls the empty state in many places.
AdaptiveGradClipState = EmptyState
AddDecayedWeightsState = EmptyState
ClipByGlobalNormState = EmptyState
ClipState = EmptyState
NonNegativeParamsState = EmptyState
ScaleByTrustRatioState = EmptyState
ScaleState = EmptyState
MultiTransformState = PartitionState


# --- optax.contrib --------------------------------------------------------------------


class ScaleByAdemamixState(NamedTuple):
    """State of `contrib.scale_by_ademamix`."""

    count: Shared  # type: ignore[assignment]
    count_m2: Shared
    m1: PerParameter
    m2: PerParameter
    nu: NonNegative


class ScaleBySimplifiedAdEMAMixState(NamedTuple):
    """State of `contrib.scale_by_simplified_ademamix`."""

    t: Shared
    m: PerParameter
    n: NonNegative


class MadgradState(NamedTuple):
    """State of `contrib.madgrad`."""

    count: Shared  # type: ignore[assignment]
    grad_sum_sq: NonNegative
    s: PerParameter
    x0: PerParameter


class MomoState(NamedTuple):
    """State of `contrib.momo`."""

    exp_avg: PerParameter
    barf: Shared
    gamma: Shared
    lb: Shared
    count: Shared  # type: ignore[assignment]


class MomoAdamState(NamedTuple):
    """State of `contrib.momo_adam`."""

    exp_avg: PerParameter
    exp_avg_sq: NonNegative
    barf: Shared
    gamma: Shared
    lb: Shared
    count: Shared  # type: ignore[assignment]


class COCOBState(NamedTuple):
    """State of `contrib.cocob`."""

    init_particles: PerParameter
    cumulative_gradients: PerParameter
    scale: NonNegative
    subgradients: NonNegative
    reward: NonNegative


class ProdigyState(NamedTuple):
    """State of `contrib.prodigy`."""

    exp_avg: PerParameter
    exp_avg_sq: NonNegative
    grad_sum: PerParameter
    params0: PerParameter
    estim_lr: Shared
    numerator_weighted: Shared
    count: Shared  # type: ignore[assignment]
