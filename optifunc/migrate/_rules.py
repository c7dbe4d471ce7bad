"""How a call of an optax function is written with this library's names.

There is a rule only if both calls give the same numbers: the tests run each. Functions
without a rule are described in `names.md` and stay optax's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Same:
    """Another name; the arguments do not change."""

    ours: str


class Given(str):
    """An argument that is written only if the program passes it."""


class Call:
    """Another name with other arguments.

    Each argument is the name of one of optax's parameters, or an expression with such
    names in braces. An expression without braces is written as it is.

    - The first ones are positional.
    - Keywords are written if the program passes the corresponding argument, or, unless
      they are `Given`, if the defaults of the two libraries differ.

    A call that passes any other parameter is not translated.
    """

    def __init__(self, ours: str, *positional: str, **keywords: str) -> None:
        self.ours, self.positional, self.keywords = ours, positional, keywords


@dataclass(frozen=True)
class Scaled:
    """A rule's call times a factor."""

    factor: str
    call: Call


Rule: TypeAlias = Same | Call | Scaled

LEARNING_RATE = "learning_rate"
BETAS = "({b1}, {b2})"
DECAY = {"weight_decay": "weight_decay", "mask": "mask"}

# The first rule that covers the arguments of a call is used.
OPTIMIZERS: Mapping[str, tuple[Rule, ...]] = {
    "adabelief": (
        Call(
            "of.adabelief",
            LEARNING_RATE,
            betas=BETAS,
            eps="eps",
            eps_root="eps_root",
            nesterov="nesterov",
        ),
    ),
    "adadelta": (
        Call(
            "of.adadelta",
            LEARNING_RATE,
            rho="rho",
            eps="eps",
            weight_decay="weight_decay",
            mask="weight_decay_mask",
        ),
    ),
    "adagrad": (
        Call(
            "of.adagrad",
            LEARNING_RATE,
            initial_accumulator_value="initial_accumulator_value",
            eps="eps",
            eps_in_sqrt="True",
        ),
    ),
    "adam": (
        Call("of.adam", LEARNING_RATE, betas=BETAS, eps="eps", nesterov="nesterov"),
    ),
    "adamw": (
        Call("of.adamw", LEARNING_RATE, betas=BETAS, eps="eps", **DECAY),
        Call(
            "of.assemble",
            "of.scale_by_adam(({b1}, {b2}), {eps}, nesterov={nesterov})",
            lr=LEARNING_RATE,
            **DECAY,
        ),
    ),
    "adamax": (Call("of.adamax", LEARNING_RATE, betas=BETAS, eps="eps"),),
    "adamaxw": (
        Call(
            "of.assemble",
            "of.scale_by_adamax(({b1}, {b2}), {eps})",
            lr=LEARNING_RATE,
            **DECAY,
        ),
    ),
    "lamb": (Call("of.lamb", LEARNING_RATE, betas=BETAS, eps="eps", **DECAY),),
    "lion": (Call("of.lion", LEARNING_RATE, betas=BETAS, **DECAY),),
    "nadam": (Call("of.adam", LEARNING_RATE, betas=BETAS, eps="eps", nesterov="True"),),
    "nadamw": (
        Call(
            "of.assemble",
            "of.scale_by_adam(({b1}, {b2}), {eps}, nesterov=True)",
            lr=LEARNING_RATE,
            **DECAY,
        ),
    ),
    "rmsprop": (
        Call(
            "of.rmsprop",
            LEARNING_RATE,
            alpha="decay",
            eps="eps",
            initial_scale="initial_scale",
            eps_in_sqrt="eps_in_sqrt",
            centered="centered",
            bias_correction="bias_correction",
        ),
    ),
    "sgd": (
        Call(
            "of.sgd",
            LEARNING_RATE,
            momentum=Given("momentum"),
            nesterov="nesterov",
        ),
    ),
    "sign_sgd": (Call("of.assemble", "of.scale_by_sign()", lr=LEARNING_RATE),),
    "signum": (Call("of.signum", LEARNING_RATE, momentum="beta"),),
}

PARTS: Mapping[str, tuple[Rule, ...]] = {
    "identity": (Same("of.identity"),),
    "set_to_zero": (Same("of.set_to_zero"),),
    "zero_nans": (Same("of.zero_nans"),),
    "scale": (Call("of.scale", "step_size"),),
    "scale_by_learning_rate": (Call("of.scale_by_learning_rate", LEARNING_RATE),),
    "scale_by_schedule": (Call("of.scheduled", "of.scale({step_size_fn})"),),
    "scale_by_sign": (Same("of.scale_by_sign"),),
    "scale_by_adadelta": (Call("of.scale_by_adadelta", rho="rho", eps="eps"),),
    "scale_by_adam": (
        Call("of.scale_by_adam", betas=BETAS, eps="eps", nesterov="nesterov"),
    ),
    "scale_by_adamax": (Call("of.scale_by_adamax", betas=BETAS, eps="eps"),),
    "scale_by_belief": (
        Call(
            "of.scale_by_adabelief",
            betas=BETAS,
            eps="eps",
            eps_root="eps_root",
            nesterov="nesterov",
        ),
    ),
    "scale_by_lion": (Call("of.scale_by_lion", betas=BETAS),),
    "scale_by_trust_ratio": (
        Call(
            "of.scale_by_trust_ratio",
            min_norm="min_norm",
            trust_coefficient="trust_coefficient",
            eps="eps",
        ),
    ),
    "trace": (Call("of.momentum", "decay", nesterov="nesterov"),),
    "ema": (
        Call(
            "of.ema",
            "decay",
            debias="debias",
            accumulator_dtype="accumulator_dtype",
        ),
    ),
    "normalize_by_update_norm": (
        Call("of.normalize_by_update_norm", scale_factor="scale_factor", eps="eps"),
    ),
    "add_decayed_weights": (
        Call("of.add_decayed_weights", "weight_decay"),
        Call("of.masked", "of.add_decayed_weights({weight_decay})", "mask"),
    ),
    "adaptive_grad_clip": (
        Call("of.adaptive_grad_clip", "clipping", eps="eps", axis="axis"),
    ),
    "centralize": (Call("of.centralize", output_axis="0"),),
    "clip": (Call("of.clip", "max_delta"),),
    "clip_by_block_rms": (Call("of.clip_by_block_rms", "threshold"),),
    "clip_by_global_norm": (Call("of.clip_by_global_norm", "max_norm", eps="0.0"),),
    "keep_params_nonnegative": (Same("of.keep_params_nonnegative"),),
}

WRAPPERS: Mapping[str, tuple[Rule, ...]] = {
    "chain": (Same("of.chain"),),
    "masked": (Call("of.masked", "inner", "mask"),),
    "partition": (Call("of.partition", "transforms", "param_labels"),),
    "multi_transform": (Call("of.partition", "transforms", "param_labels"),),
    "freeze": (Call("of.masked", "of.set_to_zero()", "mask"),),
    "selective_transform": (
        Call(
            "of.partition",
            "{{True: of.set_to_zero(), False: {optimizer}}}",
            "freeze_mask",
        ),
    ),
    "flatten": (Call("of.flatten", "inner"),),
    "apply_updates": (Call("of.apply_updates", "params", "updates"),),
    "global_norm": (Call("of.global_norm", "updates"),),
    "tree.norm": (Call("of.global_norm", "tree"),),
    "incremental_update": (
        Call("of.update_ema", "new_tensors", "old_tensors", "1 - {step_size}"),
    ),
    "periodic_update": (
        Call(
            "of.periodic_update", "new_tensors", "old_tensors", "steps", "update_period"
        ),
    ),
}

FROM_TO = ("init_value", "end_value", "transition_steps")
SCHEDULES: Mapping[str, tuple[Rule, ...]] = {
    "constant_schedule": (Call("of.schedules.constant", "value"),),
    "linear_schedule": (Call("of.schedules.from_to", *FROM_TO),),
    "polynomial_schedule": (
        Call("of.schedules.from_to", *FROM_TO, '"power"', "power"),
    ),
    "cosine_decay_schedule": (
        Call(
            "of.schedules.warmup_cosine",
            "init_value",
            "0",
            "decay_steps",
            end_value=Given("{alpha} * {init_value}"),
            exponent="exponent",
        ),
    ),
    "warmup_cosine_decay_schedule": (
        Call(
            "of.schedules.warmup_cosine",
            "peak_value",
            "warmup_steps",
            "decay_steps",
            initial_value="init_value",
            end_value="end_value",
            exponent="exponent",
        ),
    ),
    "warmup_constant_schedule": (
        Call("of.schedules.from_to", "init_value", "peak_value", "warmup_steps"),
    ),
    "exponential_decay": (
        Call(
            "of.schedules.exponential",
            "init_value",
            "{decay_rate} ** (1 / {transition_steps})",
        ),
    ),
    "join_schedules": (Call("of.schedules.sequential", "schedules", "boundaries"),),
    "cosine_onecycle_schedule": (
        Call(
            "of.schedules.one_cycle",
            "peak_value",
            "transition_steps",
            pct_start="pct_start",
            div_factor="div_factor",
            final_div_factor="final_div_factor",
            timing='"optax"',
        ),
    ),
    "linear_onecycle_schedule": (
        Call(
            "of.schedules.one_cycle",
            "peak_value",
            "transition_steps",
            pct_start="pct_start",
            pct_final="pct_final",
            div_factor="div_factor",
            final_div_factor="final_div_factor",
            anneal_strategy='"linear"',
            three_phase="True",
            timing='"optax"',
        ),
    ),
}

ELEMENTS = ("predictions", "targets")
LOSSES: Mapping[str, tuple[Rule, ...]] = {
    "squared_error": (Call("of.losses.mse_loss", *ELEMENTS, reduction='"none"'),),
    "l2_loss": (
        Scaled("0.5", Call("of.losses.mse_loss", *ELEMENTS, reduction='"none"')),
    ),
    "huber_loss": (
        Call("of.losses.huber_loss", *ELEMENTS, reduction='"none"', delta="delta"),
    ),
    "log_cosh": (Call("of.losses.log_cosh_loss", *ELEMENTS, reduction='"none"'),),
    "sigmoid_binary_cross_entropy": (
        Call(
            "of.losses.binary_cross_entropy_with_logits",
            "logits",
            "labels",
            reduction='"none"',
        ),
    ),
}

RULES: Mapping[str, tuple[Rule, ...]] = {
    **OPTIMIZERS,
    **PARTS,
    **WRAPPERS,
    **SCHEDULES,
    **LOSSES,
}
