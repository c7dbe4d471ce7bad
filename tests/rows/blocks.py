"""Building blocks and wrappers."""

from typing import Any

import jax
import jax.numpy as jnp

import optifunc as of

from .row import Row


def _is_kernel(path: str, leaf: Any) -> bool:
    return "kernel" in path


def _speed(path: str, leaf: Any) -> str:
    return "fast" if "kernel" in path else "slow"


def _depth(path: str, leaf: Any) -> int:
    return 0 if "kernel" in path else 1


def _every_other(step: jax.Array, **extra: Any) -> jax.Array:
    return step % 2 == 0


def _falling(step: jax.Array) -> jax.Array:
    return 0.1 / (1 + step.astype(jnp.float32))


ROWS = [
    Row("identity", of.identity),
    Row("scale", lambda: of.scale(0.5)),
    Row("negate", of.negate),
    Row("scale_by_learning_rate", lambda: of.scale_by_learning_rate(0.1)),
    Row("scale_by_sign", of.scale_by_sign),
    Row("set_to_zero", of.set_to_zero),
    Row("momentum", lambda: of.momentum(0.9)),
    Row(
        "add_decayed_weights",
        lambda: of.add_decayed_weights(0.1),
        needs_params=True,
    ),
    Row(
        "scale_by_trust_ratio",
        lambda: of.scale_by_trust_ratio(eps=0.01),
        magnitudes=True,
        needs_params=True,
    ),
    Row(
        "scale_by_lbfgs",
        lambda: of.scale_by_lbfgs(3),
        one_vector=True,
        needs_params=True,
    ),
    Row(
        "scale_by_backtracking_linesearch",
        lambda: of.chain(
            of.sgd(0.1), of.scale_by_backtracking_linesearch(5, store_grad=True)
        ),
        optimizer=True,
        needs_params=True,
        value=True,
        value_fn=True,
    ),
    Row(
        "scale_by_zoom_linesearch",
        lambda: of.chain(
            of.scale_by_lbfgs(3),
            of.scale_by_learning_rate(0.1),
            of.scale_by_zoom_linesearch(5, max_learning_rate=2.0),
        ),
        optimizer=True,
        one_vector=True,
        needs_params=True,
        value_fn=True,
    ),
    Row("normalize_by_update_norm", of.normalize_by_update_norm),
    Row(
        "scale_by_param_block_norm",
        of.scale_by_param_block_norm,
        magnitudes=True,
        needs_params=True,
    ),
    Row(
        "scale_by_param_block_rms",
        of.scale_by_param_block_rms,
        magnitudes=True,
        needs_params=True,
    ),
    Row("ema", of.ema),
    Row("keep_params_nonnegative", of.keep_params_nonnegative, needs_params=True),
    Row("snapshot", lambda: of.snapshot("updates")),
    Row("monitor", lambda: of.monitor(of.adam(), decay=0.9)),
    Row("privatize", lambda: of.privatize(1.0, 0.01, 2.0), noise=True),
    Row("skip_large_updates", lambda: of.skip_large_updates(of.adam(), 100.0)),
    Row(
        "skip_outliers",
        lambda: of.skip_outliers(of.adam(), 2, sigma=1e3),
        value=True,
    ),
    Row(
        "layerwise_decay",
        lambda: of.layerwise_decay(of.adam(), {"kernel": 0, "b": 1}, 0.5, _depth),
        needs_params=True,
    ),
    Row("clip", lambda: of.clip(0.3)),
    Row("clip_by_global_norm", lambda: of.clip_by_global_norm(0.3)),
    Row("clip_by_block_rms", lambda: of.clip_by_block_rms(0.3), magnitudes=True),
    Row(
        "adaptive_grad_clip",
        lambda: of.adaptive_grad_clip(0.1),
        magnitudes=True,
        needs_params=True,
    ),
    Row("masked", lambda: of.masked(of.adam(), _is_kernel)),
    Row(
        "partition",
        lambda: of.partition({"fast": of.adam(), "slow": of.sgd(0.1)}, _speed),
    ),
    Row("flatten", lambda: of.flatten(of.adamw()), needs_params=True),
    Row("flatten_small", lambda: of.flatten(of.adam(), max_size=6)),
    Row("accumulate_gradients", lambda: of.accumulate_gradients(of.adam(), 2)),
    Row("ema_parameters", of.ema_parameters, needs_params=True),
    Row(
        "ema_parameters_in_float32",
        lambda: of.ema_parameters(0.9, 2, 1, debias=True, dtype=jnp.float32),
        needs_params=True,
    ),
    Row("average_parameters", of.average_parameters, needs_params=True),
    Row("lawa_parameters", lambda: of.lawa_parameters(2, 2), needs_params=True),
    Row("skip_not_finite", lambda: of.skip_not_finite(of.adam())),
    Row("grams", lambda: of.grams(of.adam())),
    Row("orthograd", of.orthograd, magnitudes=True, needs_params=True),
    Row("grokfast_ema", of.grokfast_ema),
    Row("grokfast_ma", lambda: of.grokfast_ma(2)),
    Row("cautious", lambda: of.cautious(of.adam()), magnitudes=True),
    Row("zero_nans", of.zero_nans),
    Row("centralize", of.centralize),
    Row("add_noise", lambda: of.add_noise(0.01), noise=True),
    Row("scale_by_corrected_rms", of.scale_by_corrected_rms),
    Row(
        "schedule_free",
        lambda: of.schedule_free(of.sgd(0.1), at_z=True),
        needs_params=True,
    ),
    Row(
        "lookahead",
        lambda: of.lookahead(of.adam(), 2, reset_state=True),
        needs_params=True,
    ),
    Row("sam", lambda: of.sam(of.sgd(0.1, 0.9)), grad_fn=True, needs_params=True),
    Row(
        "sam_in_turns",
        lambda: of.sam_in_turns(of.adam(), adaptive=True),
        needs_params=True,
    ),
    Row(
        "look_sam",
        # Adaptive: along the gradient itself this one does not turn.
        lambda: of.look_sam(of.sgd(0.1, 0.9), sync_period=2, adaptive=True),
        shapes=True,
        magnitudes=True,
        grad_fn=True,
        needs_params=True,
    ),
    Row(
        "mechanize",
        lambda: of.mechanize(of.sgd(0.1), s_init=0.1, num_betas=2),
        needs_params=True,
    ),
    Row("conditionally", lambda: of.conditionally(of.adam(), _every_other)),
    Row(
        "master_weights",
        lambda: of.master_weights(of.adamw()),
        wide=True,
        needs_params=True,
    ),
    Row("kahan", lambda: of.kahan(of.adamw()), wide=True, needs_params=True),
    Row(
        "stochastic_rounding",
        lambda: of.stochastic_rounding(of.adamw()),
        wide=True,
        float16=False,
        noise=True,
        needs_params=True,
    ),
    Row(
        "split_weights",
        lambda: of.split_weights(of.adamw()),
        wide=True,
        float16=False,
        needs_params=True,
    ),
    Row(
        "dynamic_loss_scale",
        lambda: of.dynamic_loss_scale(of.adam(), init_scale=1.0),
        wide=True,
    ),
    Row(
        "state_dtype",
        lambda: of.state_dtype(of.adamw(), jnp.float32),
        needs_params=True,
    ),
    Row(
        "quantized",
        lambda: of.quantized(of.adamw(), block_size=4, min_size=1),
        lossy=True,
        needs_params=True,
    ),
    Row(
        "project",
        lambda: of.chain(of.sgd(0.1), of.project(of.projections.l2_ball)),
        wide=True,
        needs_params=True,
    ),
    Row("reduce_on_plateau", of.reduce_on_plateau, value=True),
    Row(
        "step_by_hyperball",
        lambda: of.chain(of.scale_by_adam(), of.step_by_hyperball(0.01)),
        matrices=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row("qk_clip", of.qk_clip, max_logits=True, needs_params=True),
    Row(
        "chain",
        lambda: of.chain(clip=of.clip_by_global_norm(1.0), adam=of.adamw(_falling)),
        needs_params=True,
    ),
]
