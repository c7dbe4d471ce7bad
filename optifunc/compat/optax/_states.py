"""optax's states: the same fields, in the same order, with this library's roles.

The classes are named as optax's, so that programs find them and a checkpoint of optax
has the structure of a state here.
"""

from typing import Any, NamedTuple

from ..._state import NonNegative, PerParameter, Restarting, Shared


class EmptyState(NamedTuple):
    """State of what keeps none."""


class MaskedNode(NamedTuple):
    """What optax puts where a mask hides a leaf; here that is None."""


class ScaleByAdamState(NamedTuple):
    """State of `scale_by_adam` and its relatives."""

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
    """State of `zero_nans`: for each leaf whether the last one had a NaN."""

    found_nan: Any


class MaskedState(NamedTuple):
    """State of `masked`."""

    inner_state: Any


class PartitionState(NamedTuple):
    """State of `partition`: by label a `MaskedState`."""

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
    """The same in older releases of optax."""

    count: Shared  # type: ignore[assignment]
    hyperparams: dict[str, Any]
    inner_state: Any


# What optax calls the empty state in many places.
AdaptiveGradClipState = EmptyState
AddDecayedWeightsState = EmptyState
ClipByGlobalNormState = EmptyState
ClipState = EmptyState
NonNegativeParamsState = EmptyState
ScaleByTrustRatioState = EmptyState
ScaleState = EmptyState
MultiTransformState = PartitionState
