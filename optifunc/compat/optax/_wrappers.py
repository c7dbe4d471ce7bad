"""optax's wrappers: chains, partitions, conditions, accumulation."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ..._dataclass import child, static
from ..._numerics import increment
from ..._transformation import Child, State, identity, transformation
from ..._tree import PyTree
from ...transforms._scaling import set_to_zero
from ...wrappers import _accumulate, _conditionally, _partition
from ...wrappers._chain import chain as our_chain
from ...wrappers._skip_not_finite import all_finite
from ...wrappers._wrapper import Wrapper
from . import _states as states
from ._blocks import masked
from ._naming import named
from ._transformation import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    Updates,
    built,
)


def chain(*args: GradientTransformation) -> GradientTransformationExtraArgs:
    """`of.chain`."""
    return built(our_chain(*args))


def named_chain(
    *args: tuple[str, GradientTransformation],
) -> GradientTransformationExtraArgs:
    """`of.chain` with names."""
    names = [name for name, _ in args]
    if len(set(names)) < len(names):
        raise ValueError(f"the names in a chain must differ, found {names}")
    return built(our_chain(**dict(args)))


@dataclass(frozen=True)
class _Labels:
    """The states of `of.partition` by optax's labels, each in a `MaskedState`."""

    labels: tuple[Hashable, ...]

    def accepts(self, state: Any) -> bool:
        return type(state).__name__ in ("PartitionState", "MultiTransformState")

    def to_ours(self, state: Any) -> Any:
        return {str(k): state.inner_states[k].inner_state for k in self.labels}

    def to_optax(self, state: Any, before: Any) -> Any:
        return states.PartitionState(
            {k: states.MaskedState(state[str(k)]) for k in self.labels}
        )


def partition(
    transforms: Mapping[Hashable, GradientTransformation],
    param_labels: PyTree | Callable[[Params], PyTree],
    *,
    mask_compatible_extra_args: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.partition`, which also adapts extra arguments like the parameters."""
    naming = _Labels(tuple(transforms))
    by_label: Any = dict(transforms)
    return built(named(_partition.partition(by_label, param_labels), naming))


multi_transform = partition


def freeze(mask: bool | PyTree) -> GradientTransformationExtraArgs:
    """No updates where ``mask`` is True."""
    return masked(built(set_to_zero()), mask)


def selective_transform(
    optimizer: GradientTransformation, *, freeze_mask: bool | PyTree
) -> GradientTransformationExtraArgs:
    """``optimizer`` where ``freeze_mask`` is False, and no updates elsewhere."""

    def labels(mask: Any) -> PyTree:
        return jax.tree.map(lambda m: "freeze" if m else "train", mask)

    by_label: Any = {"train": optimizer, "freeze": built(set_to_zero())}
    if callable(freeze_mask):
        return partition(by_label, lambda params: labels(freeze_mask(params)))
    return partition(by_label, labels(freeze_mask))


# --- conditions -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Conditional:
    """The state of `of.conditionally`, without that of the fallback."""

    theirs: Any

    def accepts(self, state: Any) -> bool:
        return bool(type(state).__name__ == self.theirs.__name__)

    def to_ours(self, state: Any) -> Any:
        return _conditionally.ConditionalState(state.step, state.inner_state, ())

    def to_optax(self, state: Any, before: Any) -> Any:
        return self.theirs(step=state.step, inner_state=state.inner)


class ConditionFn(Protocol):
    """The type of a condition."""

    def __call__(self, step: Array, **extra_args: Any) -> ArrayLike: ...


def _only_step(condition: ConditionFn) -> Callable[[Array], ArrayLike]:
    return lambda step: condition(step)


def conditionally_transform(
    inner: GradientTransformation,
    should_transform_fn: ConditionFn,
    forward_extra_args: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.conditionally`."""
    condition = (
        should_transform_fn if forward_extra_args else _only_step(should_transform_fn)
    )
    tx = _conditionally.conditionally(inner, condition, identity())
    return built(named(tx, _Conditional(states.ConditionallyTransformState)))


def conditionally_mask(
    inner: GradientTransformation,
    should_transform_fn: ConditionFn,
    forward_extra_args: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.conditionally`, and no updates otherwise."""
    condition = (
        should_transform_fn if forward_extra_args else _only_step(should_transform_fn)
    )
    tx = _conditionally.conditionally(inner, condition, set_to_zero())
    return built(named(tx, _Conditional(states.ConditionallyMaskState)))


@transformation
class _if_finite(Wrapper):
    """`of.skip_not_finite` with optax's counts."""

    inner: Any = child()
    max_consecutive_errors: int = static()

    def state_of(self, child: Child, state: State) -> State:
        return state.inner_state

    def init(self, params: PyTree) -> states.ApplyIfFiniteState:
        zero = jnp.zeros((), jnp.int32)
        return states.ApplyIfFiniteState(
            zero, jnp.array(True), jnp.zeros((), jnp.int32), self.inner.init(params)
        )

    def update(
        self,
        updates: PyTree,
        state: states.ApplyIfFiniteState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, states.ApplyIfFiniteState]:
        finite = all_finite(updates)
        consecutive = jnp.where(finite, 0, increment(state.notfinite_count))
        updates, inner = _conditionally.update_or_skip(
            finite | (consecutive > self.max_consecutive_errors),
            self.inner,
            state.inner_state,
            updates,
            params,
            extra,
        )
        total = jnp.where(
            finite, state.total_notfinite, increment(state.total_notfinite)
        )
        return updates, states.ApplyIfFiniteState(consecutive, finite, total, inner)


def apply_if_finite(
    inner: GradientTransformation, max_consecutive_errors: int
) -> GradientTransformationExtraArgs:
    """`of.skip_not_finite`."""
    return built(_if_finite(inner, max_consecutive_errors))


# --- accumulation ---------------------------------------------------------------------


class ShouldSkipUpdateFunction(Protocol):
    """The type of functions that decide whether `MultiSteps` skips a gradient."""

    def __call__(
        self, updates: Updates, gradient_step: Array, params: Params | None
    ) -> tuple[Array, Any]: ...


def skip_not_finite(
    updates: Updates, gradient_step: Array, params: Params | None
) -> tuple[Array, Any]:
    """For `MultiSteps`: skip a gradient that is not finite."""
    bad = [jnp.sum(~jnp.isfinite(leaf)) for leaf in jax.tree.leaves(updates)]
    count = jnp.sum(jnp.array(bad))
    return count > 0, {"should_skip": count > 0, "num_not_finite": count}


def skip_large_updates(
    updates: Updates,
    gradient_step: Array,
    params: Params | None,
    max_squared_norm: float,
) -> tuple[Array, Any]:
    """For `MultiSteps`: skip a gradient that is too large."""
    squares = [jnp.sum(leaf**2) for leaf in jax.tree.leaves(updates)]
    total = jnp.sum(jnp.array(squares))
    skip = ~(total < max_squared_norm)
    return skip, {"should_skip": skip, "norm_squared": total}


@transformation
class MultiSteps(Wrapper):
    """`of.accumulate_gradients` as optax's class, which is not a transformation."""

    accumulation: Any = child()
    should_skip_update_fn: Any = static()

    def __init__(
        self,
        opt: GradientTransformation,
        every_k_schedule: int | Callable[[Array], Any],
        use_grad_mean: bool = True,
        should_skip_update_fn: ShouldSkipUpdateFunction | None = None,
        accumulator_dtype: Any | None = jnp.float32,
    ) -> None:
        reduction = "mean" if use_grad_mean else "sum"
        accumulation = _accumulate.accumulate_gradients(
            opt, every_k_schedule, reduction, accumulator_dtype
        )
        object.__setattr__(self, "accumulation", accumulation)
        object.__setattr__(self, "should_skip_update_fn", should_skip_update_fn)
        self.__post_init__()

    @property
    def inner_opt(self) -> Any:
        """The transformation that receives the accumulated gradients."""
        return self.accumulation.inner

    def state_of(self, child: Child, state: State) -> State:
        return _accumulate.AccumulationState(
            state.mini_step, state.gradient_step, state.acc_grads, state.inner_opt_state
        )

    def init(self, params: Params) -> states.MultiStepsState:
        skip_state: Any = ()
        if self.should_skip_update_fn is not None:
            zeros = jax.tree.map(jnp.zeros_like, params)
            step = jnp.zeros((), jnp.int32)
            _, skip_state = self.should_skip_update_fn(zeros, step, params)
        return _multi_steps(self.accumulation.init(params), skip_state)

    def update(
        self,
        updates: Updates,
        state: states.MultiStepsState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, states.MultiStepsState]:
        before = self.state_of(self.children()[0], state)
        new, after = self.accumulation.update(updates, before, params, **extra)
        skip_state: Any = ()
        if self.should_skip_update_fn is not None:
            step = state.gradient_step
            skip, skip_state = self.should_skip_update_fn(updates, step, params)
            new = jax.tree.map(lambda u: jnp.where(skip, 0, u), new)
            after = jax.tree.map(lambda n, o: jnp.where(skip, o, n), after, before)
        return new, _multi_steps(after, skip_state)

    def has_updated(self, state: Any) -> Array:
        """Whether the last gradient was the last one of a group."""
        return jnp.logical_and(state.mini_step == 0, state.gradient_step > 0)

    def gradient_transformation(self) -> GradientTransformation:
        """The same as a `GradientTransformation`."""
        return built(self)


def _multi_steps(state: Any, skip_state: Any) -> states.MultiStepsState:
    begun = state.micro_step > 0
    accumulated = jax.tree.map(lambda x: jnp.where(begun, x, 0), state.accumulated)
    return states.MultiStepsState(
        state.micro_step, state.step, state.inner, accumulated, skip_state
    )
