"""optax.transforms: wrappers, clipping, and their states."""

from __future__ import annotations

import typing as _typing

from ._blocks import (
    adaptive_grad_clip as adaptive_grad_clip,
    add_decayed_weights as add_decayed_weights,
    clip as clip,
    clip_by_block_rms as clip_by_block_rms,
    clip_by_global_norm as clip_by_global_norm,
    masked as masked,
    trace as trace,
    zero_nans as zero_nans,
)
from ._more_transforms import (
    add_noise as add_noise,
    ema as ema,
    flatten as flatten,
    keep_params_nonnegative as keep_params_nonnegative,
    measure_with_ema as measure_with_ema,
    monitor as monitor,
    per_example_global_norm_clip as per_example_global_norm_clip,
    per_example_layer_norm_clip as per_example_layer_norm_clip,
    snapshot as snapshot,
)
from ._own import names_of as _names_of
from ._states import (
    AddNoiseState as AddNoiseState,
    ApplyIfFiniteState as ApplyIfFiniteState,
    ConditionallyMaskState as ConditionallyMaskState,
    ConditionallyTransformState as ConditionallyTransformState,
    EmaState as EmaState,
    MaskedNode as MaskedNode,
    MaskedState as MaskedState,
    MonitorState as MonitorState,
    MultiStepsState as MultiStepsState,
    NonNegativeParamsState as NonNegativeParamsState,
    PartitionState as PartitionState,
    SnapshotState as SnapshotState,
    TraceState as TraceState,
    ZeroNansState as ZeroNansState,
)
from ._wrappers import (
    ConditionFn as ConditionFn,
    MultiSteps as MultiSteps,
    ShouldSkipUpdateFunction as ShouldSkipUpdateFunction,
    apply_if_finite as apply_if_finite,
    chain as chain,
    conditionally_mask as conditionally_mask,
    conditionally_transform as conditionally_transform,
    freeze as freeze,
    named_chain as named_chain,
    partition as partition,
    selective_transform as selective_transform,
    skip_large_updates as skip_large_updates,
    skip_not_finite as skip_not_finite,
)

if not _typing.TYPE_CHECKING:
    __getattr__ = _names_of("transforms")
