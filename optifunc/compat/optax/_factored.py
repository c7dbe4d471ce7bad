"""optax's Adafactor on top of ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ...optimizers import _adafactor
from ...transforms._scaling import negate
from ...wrappers._chain import chain as our_chain
from . import _blocks as blocks, _states as states
from ._more_transforms import ema, scale_by_param_block_rms
from ._naming import Converted, named
from ._own import from_optax
from ._transformation import (
    GradientTransformationExtraArgs,
    MaskOrFn,
    ScalarOrSchedule,
    built,
)


def _decay_rate_pow(step: ArrayLike, exponent: ArrayLike = 0.8) -> ArrayLike:
    """Adafactor's schedule, which ours has as ``beta2_decay``."""
    return 1 - (jnp.asarray(step, jnp.float32) + 1) ** -jnp.asarray(exponent)


def _axes_of(axes: Callable[..., Any], row: Array, col: Array) -> tuple[int, int]:
    """The axes over which the statistics of a factored leaf are averaged."""
    for first in range(row.ndim + 1):
        for second in range(row.ndim + 1):
            rest = [*col.shape[:second], 0, *col.shape[second:]]
            shape = (*row.shape[:first], rest[first], *row.shape[first:])
            if axes(shape) == (first, second):
                return first, second
    raise ValueError(
        f"v_row and v_col must be the means of one array, found shapes {row.shape} "
        f"and {col.shape}"
    )


def _factored_from_optax(axes: Callable[..., Any], state: Any) -> Any:
    treedef: Any = jax.tree.structure(state.v)
    columns: tuple[list[Any], ...] = ([], [], [])
    for row, col, v in zip(*map(treedef.flatten_up_to, state[1:]), strict=True):
        if row.shape == col.shape == (1,):
            kept: tuple[Any, ...] = (None, None, v)
        else:
            first, second = _axes_of(axes, row, col)
            kept = (jnp.expand_dims(row, first), jnp.expand_dims(col, second), None)
        for column, value in zip(columns, kept, strict=True):
            column.append(value)
    trees = map(treedef.unflatten, columns)
    return (_adafactor.StepByAdafactorState(state.count, *trees), ())


def _factored_to_optax(axes: Callable[..., Any], state: Any, before: Any) -> Any:
    own = state[0]

    def is_none(node: Any) -> bool:
        return node is None

    def statistics(row: Any, col: Any, v: Any) -> tuple[Array, Array, Array]:
        known = v if row is None else row
        nothing = jnp.zeros((1,), known.dtype)
        if row is None:
            return nothing, nothing, v
        shape = tuple(map(max, row.shape, col.shape))
        first, second = axes(shape)
        return jnp.squeeze(row, first), jnp.squeeze(col, second), nothing

    # A tuple for each leaf, and trees of their parts.
    treedef: Any = jax.tree.structure(own.variance, is_leaf=is_none)
    columns = (treedef.flatten_up_to(x) for x in (own.row_var, own.col_var))
    leaves = treedef.flatten_up_to(own.variance)
    parts = [*map(statistics, *columns, leaves)]
    trees = (treedef.unflatten(part[i] for part in parts) for i in range(3))
    return states.FactoredState(own.step, *trees)


def scale_by_factored_rms(
    factored: bool = True,
    decay_rate: ArrayLike = 0.8,
    step_offset: ArrayLike = 0,
    min_dim_size_to_factor: int = 128,
    epsilon: ArrayLike = 1e-30,
    decay_rate_fn: Callable[[ArrayLike, ArrayLike], ArrayLike] = _decay_rate_pow,
) -> GradientTransformationExtraArgs:
    """`of.step_by_adafactor`, negated; optax's own with another ``decay_rate_fn``."""
    if decay_rate_fn is not _decay_rate_pow:
        own: GradientTransformationExtraArgs = from_optax("scale_by_factored_rms")(
            factored,
            decay_rate,
            step_offset,
            min_dim_size_to_factor,
            epsilon,
            decay_rate_fn,
        )
        return own
    rate: Any = decay_rate
    step = _adafactor.step_by_adafactor(
        lr=1.0,
        beta2_decay=-rate,
        eps=(epsilon, 0.0),
        d=None,
        factored=factored,
        # Factors of a single number would look like the placeholders of no factors.
        min_dim_size_to_factor=max(2, min_dim_size_to_factor),
        factored_axes="largest",
        multiply_by_parameter_scale=False,
        relative_step=False,
        decay_offset=step_offset,
        add_eps=True,
    )
    naming = Converted(
        states.FactoredState,
        partial(_factored_from_optax, step.factored_axes_of),
        partial(_factored_to_optax, step.factored_axes_of),
    )
    return built(named(our_chain(step, negate()), naming))


def adafactor(
    learning_rate: ScalarOrSchedule | None = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: ArrayLike = 0.8,
    decay_offset: ArrayLike = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: ArrayLike | None = 1.0,
    momentum: ArrayLike | None = None,
    dtype_momentum: Any = jnp.float32,
    weight_decay_rate: ScalarOrSchedule | None = None,
    eps: ArrayLike = 1e-30,
    factored: bool = True,
    weight_decay_mask: MaskOrFn = None,
) -> GradientTransformationExtraArgs:
    """`of.adafactor` assembled from blocks, as in optax."""
    members = [
        scale_by_factored_rms(
            factored, decay_rate, decay_offset, min_dim_size_to_factor, eps
        )
    ]
    if clipping_threshold is not None:
        members.append(blocks.clip_by_block_rms(clipping_threshold))
    if learning_rate is not None:
        members.append(blocks.scale_by_learning_rate(learning_rate, flip_sign=False))
    if multiply_by_parameter_scale:
        members.append(scale_by_param_block_rms())
    if momentum is not None:
        members.append(ema(momentum, False, dtype_momentum))
    if weight_decay_rate is not None:
        members.append(blocks.add_decayed_weights(weight_decay_rate, weight_decay_mask))
    return built(*members, blocks.scale(-1.0))
