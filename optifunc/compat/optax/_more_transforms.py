"""optax's averages, noise, layouts and measurements on top of ours."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ..._dataclass import child, static
from ..._hyperparameters import Value
from ..._numerics import as_scalar, increment
from ..._placement import zeros_like
from ..._transformation import (
    Child,
    GradientTransformation as Transformation,
    State,
    identity as our_identity,
    transformation,
)
from ..._tree import PyTree
from ...transforms import (
    _ema,
    _noise,
    _nonnegative,
    _normalization,
    _private_noise,
    _snapshot,
)
from ...wrappers import _accumulate, _lookahead
from ...wrappers._chain import chain as our_chain
from ...wrappers._flatten import end_to_end
from ...wrappers._wrapper import Wrapper
from . import _states as states, tree
from ._blocks import dtype_or_none, scale_by_learning_rate, stateless, stateless_block
from ._naming import Fields, named
from ._transformation import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    ScalarOrSchedule,
    built,
)

Measure = Callable[[PyTree], PyTree]


def keep_params_nonnegative() -> GradientTransformationExtraArgs:
    """`of.keep_params_nonnegative`."""
    return built(stateless_block(_nonnegative.keep_params_nonnegative()))


def normalize_by_update_norm(
    scale_factor: ArrayLike = 1.0, eps: ArrayLike = 1e-6
) -> GradientTransformationExtraArgs:
    """`of.normalize_by_update_norm`."""
    tx = _normalization.normalize_by_update_norm(scale_factor, eps)
    return built(stateless_block(tx))


def scale_by_param_block_norm(
    min_scale: ArrayLike = 1e-3,
) -> GradientTransformationExtraArgs:
    """`of.scale_by_param_block_norm`."""
    return built(stateless_block(_normalization.scale_by_param_block_norm(min_scale)))


def scale_by_param_block_rms(
    min_scale: ArrayLike = 1e-3,
) -> GradientTransformationExtraArgs:
    """`of.scale_by_param_block_rms`."""
    return built(stateless_block(_normalization.scale_by_param_block_rms(min_scale)))


def per_example_global_norm_clip(
    grads: PyTree, l2_norm_clip: ArrayLike
) -> tuple[PyTree, Array]:
    """`of.clip_per_example`."""
    return _private_noise.clip_per_example(grads, l2_norm_clip)


def per_example_layer_norm_clip(
    grads: PyTree, global_l2_norm_clip: ArrayLike, uniform: bool = True
) -> tuple[PyTree, PyTree]:
    """`of.clip_per_example` by leaf, or by the sizes of the leaves."""
    by = "leaf" if uniform else "size"
    return _private_noise.clip_per_example(grads, global_l2_norm_clip, by=by)


# --- averages -------------------------------------------------------------------------


def _ema_of(decay: ArrayLike, debias: bool, accumulator_dtype: Any) -> named:
    naming = Fields(states.EmaState, _ema.EmaState, ("step", "ema"))
    tx = _ema.ema(decay, debias, dtype_or_none(accumulator_dtype))
    return named(tx, naming, ("ema",))


def ema(
    decay: ArrayLike, debias: bool = True, accumulator_dtype: Any | None = None
) -> GradientTransformationExtraArgs:
    """`of.ema`."""
    return built(_ema_of(decay, debias, accumulator_dtype))


@dataclass(frozen=True)
class _SumsOfUpdates:
    """The state of `of.accumulate_gradients` with sums and nothing inside."""

    def accepts(self, state: Any) -> bool:
        return type(state).__name__ == "ApplyEvery"

    def to_ours(self, state: Any) -> Any:
        updates_done = jnp.zeros((), jnp.int32)
        return _accumulate.AccumulationState(
            state.count, updates_done, state.grad_acc, ()
        )

    def to_optax(self, state: Any, before: Any) -> Any:
        return states.ApplyEvery(state.micro_step, state.accumulated)


def apply_every(k: ArrayLike = 1) -> GradientTransformationExtraArgs:
    """`of.accumulate_gradients` with sums, after an optimizer instead of around it."""
    sums = _accumulate.accumulate_gradients(our_identity(), k, "sum")
    return built(named(sums, _SumsOfUpdates()))


@transformation
class _lookahead_of_pairs(Wrapper):
    """`of.lookahead` with slow and fast parameters together, as in optax."""

    inner: Any = child()

    def __repr__(self) -> str:
        return repr(self.inner)

    def state_of(self, child: Child, state: State) -> State:
        return self._with(state, None)

    def _with(self, state: Any, slow: Any) -> Any:
        return _lookahead.LookaheadState(state.steps_since_sync, slow, state.fast_state)

    def init(self, params: PyTree) -> states.LookaheadState:
        state = self.inner.init(getattr(params, "fast", params))
        return states.LookaheadState(state.inner, state.steps_since_sync)

    def update(
        self, updates: PyTree, state: Any, params: Any = None, **extra: Any
    ) -> tuple[PyTree, states.LookaheadState]:
        if params is None or not hasattr(params, "slow"):
            raise ValueError(
                "lookahead takes the parameters as LookaheadParams(fast, slow), found "
                f"{type(params).__name__}; LookaheadParams.init_synced(params) makes "
                "them"
            )
        fast, after = self.inner.update(
            updates, self._with(state, params.slow), params.fast, **extra
        )
        moved = states.LookaheadParams(fast, tree.sub(after.slow, params.slow))
        return moved, states.LookaheadState(after.inner, after.steps_since_sync)


def lookahead(
    fast_optimizer: GradientTransformation,
    sync_period: ArrayLike,
    slow_step_size: ArrayLike,
    reset_state: bool = False,
) -> GradientTransformationExtraArgs:
    """`of.lookahead`, whose parameters are `LookaheadParams`."""
    tx = _lookahead.lookahead(fast_optimizer, sync_period, slow_step_size, reset_state)
    return built(_lookahead_of_pairs(tx))


# --- noise ----------------------------------------------------------------------------


@transformation
class _noise_of_keys(Transformation):
    """`of.add_noise` with the random numbers that optax draws."""

    eta: Value
    gamma: Value
    key: Any

    def init(self, params: PyTree) -> states.AddNoiseState:
        is_key = jnp.issubdtype(jnp.result_type(self.key), jax.dtypes.prng_key)
        key = self.key if is_key else jax.random.key(self.key)
        return states.AddNoiseState(jnp.zeros((), jnp.int32), key)

    def update(
        self,
        updates: PyTree,
        state: states.AddNoiseState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, states.AddNoiseState]:
        count = increment(state.count)
        key, sample = jax.random.split(state.rng_key)
        noise = tree.random_like(sample, updates)
        variance = as_scalar(self.eta) / as_scalar(count) ** as_scalar(self.gamma)
        updates = _noise.with_noise(updates, noise, deviation=jnp.sqrt(variance))
        return updates, states.AddNoiseState(count, key)


def add_noise(
    eta: ArrayLike,
    gamma: ArrayLike,
    key: Array | int | None = None,
    *,
    seed: int | None = None,
) -> GradientTransformationExtraArgs:
    """`of.add_noise` with optax's keys."""
    if seed is not None:
        if key is not None:
            raise ValueError(f"give key or seed, not both: {key!r} and {seed!r}")
        warnings.warn('"seed" is deprecated in optax: give "key"', stacklevel=2)
        key = seed
    if key is None:
        warnings.warn("without a key the noise is that of key 0", stacklevel=2)
        key = 0
    return built(_noise_of_keys(eta, gamma, key))


def noisy_sgd(
    learning_rate: ScalarOrSchedule,
    eta: ArrayLike = 0.01,
    gamma: ArrayLike = 0.55,
    key: ArrayLike | None = None,
    *,
    seed: int | None = None,
) -> GradientTransformationExtraArgs:
    """`add_noise` and `scale_by_learning_rate`."""
    noise = add_noise(eta, gamma, key, seed=seed)  # type: ignore[arg-type]
    return built(our_chain(noise, scale_by_learning_rate(learning_rate)))


# --- layout ---------------------------------------------------------------------------


def _vector(tree: PyTree) -> Array:
    return end_to_end(jax.tree.leaves(tree))


@transformation
class _of_one_vector(Wrapper):
    """optax's form of `of.flatten`: a vector for all leaves, of their widest dtype."""

    inner: Any = child()

    def state_of(self, child: Child, state: State) -> State:
        return state

    def init(self, params: PyTree) -> State:
        return self.inner.init(_vector(params))

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        flat = None if params is None else _vector(params)
        vector, state = self.inner.update(_vector(updates), state, flat, **extra)
        structure: Any
        leaves, structure = jax.tree.flatten(updates)
        parts = jax.lax.split(vector, [int(jnp.size(leaf)) for leaf in leaves])
        shaped = [p.reshape(jnp.shape(u)) for p, u in zip(parts, leaves, strict=True)]
        return structure.unflatten(shaped), state


def flatten(inner: GradientTransformation) -> GradientTransformationExtraArgs:
    """`of.flatten` to one vector, without a dict around it."""
    return built(_of_one_vector(inner))


# --- measurements ---------------------------------------------------------------------


@transformation
class _snapshot_from_start(named):
    """The first measurement is that of the parameters."""

    __repr__ = named.__repr__

    def init(self, params: PyTree) -> State:
        _, state = self.inner.update(params, self.inner.init(params), params)
        return self.naming.to_optax(state, None)


def snapshot(measure_name: str, measure: Measure) -> GradientTransformationExtraArgs:
    """`of.snapshot`, which also measures the parameters at first."""
    naming = Fields(states.SnapshotState, _snapshot.SnapshotState, ("measured",))
    return built(
        _snapshot_from_start(_snapshot.snapshot(measure_name, measure), naming)
    )


@transformation
class _monitored(Wrapper):
    """The results of transformations of the updates, which do not change themselves.

    Unlike optax's, the state has the same structure from the start.
    """

    measures: Any = child()

    def state_of(self, child: Child, state: State) -> State:
        return state.measure_states[list(self.measures).index(child.key)]

    def init(self, params: PyTree) -> states.MonitorState:
        begun = tuple(tx.init(params) for tx in self.measures.values())
        empty = states.MonitorState({}, begun)
        zeros = zeros_like(params)
        form = jax.eval_shape(self.update, zeros, empty, params)[1].measurements
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), form)
        return states.MonitorState(nothing, begun)

    def update(
        self,
        updates: PyTree,
        state: states.MonitorState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, states.MonitorState]:
        found = {
            name: tx.update(updates, before, params, **extra)
            for (name, tx), before in zip(
                self.measures.items(), state.measure_states, strict=True
            )
        }
        measurements = {name: measured for name, (measured, _) in found.items()}
        after = tuple(state for _, state in found.values())
        return updates, states.MonitorState(measurements, after)


def monitor(measures: dict[str, Any]) -> GradientTransformationExtraArgs:
    """Functions of the updates, or transformations, whose results the state keeps.

    `of.monitor` is around a transformation instead.
    """

    def member(measure: Any) -> Any:
        if hasattr(measure, "update"):
            return measure
        return stateless(_ignoring_params(measure))

    members = OrderedDict((name, member(x)) for name, x in measures.items())
    return built(_monitored(members))


@dataclass(frozen=True)
class _ignoring_params:
    """A measure of updates as an argument for `stateless`."""

    measure: Measure

    def __call__(self, updates: PyTree, params: PyTree | None) -> PyTree:
        return self.measure(updates)


@transformation
class _begun_with(Wrapper):
    """A transformation of measurements, with its state."""

    inner: Any = child()
    measure: Measure = static()

    def state_of(self, child: Child, state: State) -> State:
        return state

    def init(self, params: PyTree) -> State:
        return self.inner.init(self.measure(params))

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        measured, state = self.inner.update(updates, state, None)
        return measured, state


def measure_with_ema(
    measure: Measure,
    decay: ArrayLike,
    debias: bool = True,
    accumulator_dtype: Any | None = None,
) -> GradientTransformationExtraArgs:
    """For `monitor`: `of.ema` of a function of the updates."""
    average = _ema_of(decay, debias, accumulator_dtype)
    return built(
        our_chain(stateless(_ignoring_params(measure)), _begun_with(average, measure))
    )
