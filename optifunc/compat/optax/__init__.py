"""optax's public names over this library's transformations.

``import optifunc.compat.optax as optax`` runs a program that was written for optax.
What is not built here is optax's own, if that is installed.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from . import (
    assignment as assignment,
    contrib as contrib,
    experimental as experimental,
    losses as losses,
    microbatching as microbatching,
    perturbations as perturbations,
    projections as projections,
    schedules as schedules,
    second_order as second_order,
    transforms as transforms,
    tree as tree,
    tree_utils as tree_utils,
)
from ._blocks import (
    adaptive_grad_clip as adaptive_grad_clip,
    add_decayed_weights as add_decayed_weights,
    centralize as centralize,
    clip as clip,
    clip_by_block_rms as clip_by_block_rms,
    clip_by_global_norm as clip_by_global_norm,
    identity as identity,
    init_empty_state as init_empty_state,
    masked as masked,
    scale as scale,
    scale_by_adadelta as scale_by_adadelta,
    scale_by_adam as scale_by_adam,
    scale_by_adamax as scale_by_adamax,
    scale_by_belief as scale_by_belief,
    scale_by_learning_rate as scale_by_learning_rate,
    scale_by_lion as scale_by_lion,
    scale_by_rms as scale_by_rms,
    scale_by_rss as scale_by_rss,
    scale_by_schedule as scale_by_schedule,
    scale_by_sign as scale_by_sign,
    scale_by_stddev as scale_by_stddev,
    scale_by_trust_ratio as scale_by_trust_ratio,
    set_to_zero as set_to_zero,
    stateless as stateless,
    stateless_with_tree_map as stateless_with_tree_map,
    trace as trace,
    with_extra_args_support as with_extra_args_support,
    zero_nans as zero_nans,
)
from ._checkpoints import (
    from_optax_state as from_optax_state,
    to_optax_state as to_optax_state,
)
from ._injection import (
    WrappedSchedule as WrappedSchedule,
    inject_hyperparams as inject_hyperparams,
    inject_stateful_hyperparams as inject_stateful_hyperparams,
)
from ._losses import (
    convex_kl_divergence as convex_kl_divergence,
    cosine_distance as cosine_distance,
    cosine_similarity as cosine_similarity,
    generalized_kl_divergence as generalized_kl_divergence,
    huber_loss as huber_loss,
    kl_divergence as kl_divergence,
    l2_loss as l2_loss,
    log_cosh as log_cosh,
    safe_softmax_cross_entropy as safe_softmax_cross_entropy,
    sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy,
    smooth_labels as smooth_labels,
    softmax_cross_entropy as softmax_cross_entropy,
    softmax_cross_entropy_with_integer_labels as softmax_cross_entropy_with_integer_labels,  # noqa: E501
    squared_error as squared_error,
)
from ._more_losses import (
    hinge_loss as hinge_loss,
    ntxent as ntxent,
    sigmoid_focal_loss as sigmoid_focal_loss,
)
from ._optimizers import (
    adabelief as adabelief,
    adadelta as adadelta,
    adagrad as adagrad,
    adam as adam,
    adamax as adamax,
    adamaxw as adamaxw,
    adamw as adamw,
    lamb as lamb,
    lars as lars,
    lion as lion,
    nadam as nadam,
    nadamw as nadamw,
    rmsprop as rmsprop,
    sgd as sgd,
    sign_sgd as sign_sgd,
)
from ._own import names_of as _names_of
from ._schedules import (
    constant_schedule as constant_schedule,
    cosine_decay_schedule as cosine_decay_schedule,
    cosine_onecycle_schedule as cosine_onecycle_schedule,
    exponential_decay as exponential_decay,
    join_schedules as join_schedules,
    linear_onecycle_schedule as linear_onecycle_schedule,
    linear_schedule as linear_schedule,
    piecewise_constant_schedule as piecewise_constant_schedule,
    piecewise_interpolate_schedule as piecewise_interpolate_schedule,
    polynomial_schedule as polynomial_schedule,
    sgdr_schedule as sgdr_schedule,
    warmup_constant_schedule as warmup_constant_schedule,
    warmup_cosine_decay_schedule as warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule as warmup_exponential_decay_schedule,
)
from ._small import (
    apply_updates as apply_updates,
    bias_correction as bias_correction,
    global_norm as global_norm,
    incremental_update as incremental_update,
    periodic_update as periodic_update,
    safe_increment as safe_increment,
    safe_int32_increment as safe_int32_increment,
    safe_norm as safe_norm,
    safe_root_mean_squares as safe_root_mean_squares,
    tree_map_params as tree_map_params,
    update_infinity_moment as update_infinity_moment,
    update_moment as update_moment,
    update_moment_per_elem_norm as update_moment_per_elem_norm,
)
from ._states import (
    AdaptiveGradClipState as AdaptiveGradClipState,
    AddDecayedWeightsState as AddDecayedWeightsState,
    ApplyIfFiniteState as ApplyIfFiniteState,
    ClipByGlobalNormState as ClipByGlobalNormState,
    ClipState as ClipState,
    ConditionallyMaskState as ConditionallyMaskState,
    ConditionallyTransformState as ConditionallyTransformState,
    EmptyState as EmptyState,
    InjectHyperparamsState as InjectHyperparamsState,
    InjectStatefulHyperparamsState as InjectStatefulHyperparamsState,
    MaskedNode as MaskedNode,
    MaskedState as MaskedState,
    MultiStepsState as MultiStepsState,
    MultiTransformState as MultiTransformState,
    NonNegativeParamsState as NonNegativeParamsState,
    PartitionState as PartitionState,
    ScaleByAdaDeltaState as ScaleByAdaDeltaState,
    ScaleByAdamState as ScaleByAdamState,
    ScaleByBeliefState as ScaleByBeliefState,
    ScaleByLionState as ScaleByLionState,
    ScaleByRmsState as ScaleByRmsState,
    ScaleByRssState as ScaleByRssState,
    ScaleByRStdDevState as ScaleByRStdDevState,
    ScaleByScheduleState as ScaleByScheduleState,
    ScaleByTrustRatioState as ScaleByTrustRatioState,
    ScaleState as ScaleState,
    TraceState as TraceState,
    ZeroNansState as ZeroNansState,
)
from ._transformation import (
    GradientTransformation as GradientTransformation,
    GradientTransformationExtraArgs as GradientTransformationExtraArgs,
    MaskOrFn as MaskOrFn,
    OptState as OptState,
    Params as Params,
    ScalarOrSchedule as ScalarOrSchedule,
    Schedule as Schedule,
    TransformInitFn as TransformInitFn,
    TransformUpdateExtraArgsFn as TransformUpdateExtraArgsFn,
    TransformUpdateFn as TransformUpdateFn,
    Updates as Updates,
)
from ._wrappers import (
    MultiSteps as MultiSteps,
    ShouldSkipUpdateFunction as ShouldSkipUpdateFunction,
    apply_if_finite as apply_if_finite,
    chain as chain,
    conditionally_mask as conditionally_mask,
    conditionally_transform as conditionally_transform,
    freeze as freeze,
    multi_transform as multi_transform,
    named_chain as named_chain,
    partition as partition,
    selective_transform as selective_transform,
    skip_large_updates as skip_large_updates,
    skip_not_finite as skip_not_finite,
)

# Type checkers would take it for a sign that any name exists.
if not _TYPE_CHECKING:
    __getattr__ = _names_of("")
