"""Names from other libraries, and what they are called here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

# Arguments as optax, Keras and PyTorch packages call them, and what each may be here:
# the first one that a function has.
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    # the learning rate, also where it is a schedule's value
    "learning_rate": ("lr", "base", "base_lr", "max_lr"),
    "lr": ("base", "base_lr", "max_lr", "start", "peaks"),
    "eta": ("lr",),
    "step_size": ("lr",),
    "stepsize": ("lr",),
    "max_learning_rate": ("max_lr", "peak_lr", "base"),
    "initial_learning_rate": ("base", "lr"),
    "initial_lr": ("base", "base_lr", "start", "lr"),
    "base_lr": ("base",),
    "max_lr": ("peak_lr", "base", "peaks"),
    "lr_max": ("peak_lr", "max_lr", "base"),
    "peak_lr": ("max_lr", "base", "peaks"),
    "min_lr": ("eta_min", "end_value", "end"),
    "lr_min": ("eta_min", "end_value", "end"),
    # moments
    "b1": ("betas",),
    "b2": ("betas",),
    "beta1": ("betas",),
    "beta2": ("betas",),
    "beta_1": ("betas",),
    "beta_2": ("betas",),
    "beta": ("betas", "momentum"),
    "mu": ("momentum",),
    "decay": ("alpha", "rho", "momentum", "weight_decay"),
    "rho": ("alpha",),
    "alpha": ("rho",),
    "decay_rate": ("beta2_decay", "alpha", "gamma", "weight_decay"),
    "eps_root": ("eps",),
    "eps_in_sqrt": ("eps",),
    "epsilon": ("eps",),
    "initial_scale": ("initial_accumulator_value",),
    "use_nesterov": ("nesterov",),
    "memory_size": ("history_size",),
    "linesearch": ("line_search_fn",),
    "line_search": ("line_search_fn",),
    "clipping_threshold": ("d",),
    "clip_threshold": ("d",),
    "eta_minus": ("etas",),
    "eta_plus": ("etas",),
    "min_step_size": ("step_sizes",),
    "max_step_size": ("step_sizes",),
    # weight decay
    "wd": ("weight_decay",),
    "l2": ("weight_decay",),
    "weight_decay_rate": ("weight_decay",),
    "decoupled": ("decoupled_weight_decay", "decay"),
    "decouple": ("decoupled_weight_decay", "decay"),
    "cautious_wd": ("cautious",),
    "cautious_weight_decay": ("cautious",),
    "decay_mask_fn": ("mask",),
    "weight_decay_mask": ("mask",),
    "freeze_mask": ("mask",),
    # clipping, accumulation and other wrappers
    "clip_norm": ("max_norm",),
    "clip_value": ("max_value",),
    "clipnorm": ("max_norm",),
    "clipvalue": ("max_value",),
    "max_delta": ("max_value",),
    "max_grad_norm": ("max_norm",),
    "accumulation_steps": ("every",),
    "every_k": ("every",),
    "every_k_schedule": ("every",),
    "gradient_accumulation_steps": ("every",),
    "k": ("every",),
    "max_consecutive_errors": ("max_consecutive",),
    "should_transform_fn": ("condition",),
    "param_labels": ("labels",),
    "transforms": ("transformations",),
    "step_size_fn": ("factor",),
    # Muon's iterations
    "ns_coeffs": ("ns_coefficients",),
    "consistent_rms": ("adjust_lr_fn",),
    "muon_weight_dimension_numbers": ("output_axis",),
    "steps": ("ns_steps", "total_iters", "total_steps", "T_max"),
    # schedules
    "init_value": ("start", "initial_value", "base"),
    "value": ("base",),
    "end_value": ("end", "eta_min"),
    "eta_min": ("end_value", "end"),
    "eta_max": ("base", "max_lr"),
    "transition_steps": ("total_iters", "total_steps", "steps", "step_size"),
    "decay_steps": ("T_max", "total_iters", "total_steps", "steps", "T_0"),
    "total_steps": ("T_max", "total_iters", "steps"),
    "total_iters": ("T_max", "total_steps", "steps"),
    "num_steps": ("total_steps", "T_max", "total_iters", "steps"),
    "num_training_steps": ("total_steps", "T_max", "total_iters", "steps"),
    "num_warmup_steps": ("warmup_steps",),
    "T_max": ("total_steps", "total_iters", "steps"),
    "step": ("step_size",),
    "transition_begin": ("begin", "warmup_steps"),
    "peak_value": ("max_lr", "base", "peaks"),
    "cosine_kwargs": ("peaks",),
    "boundaries": ("milestones",),
    "milestones": ("boundaries",),
    "boundaries_and_scales": ("boundaries", "milestones"),
    "exponent": ("power",),
    "power": ("exponent",),
    "interpolate_type": ("interpolation",),
    # losses
    "log_predictions": ("input",),
    "logits": ("input",),
    "predictions": ("input",),
    "y_pred": ("input",),
    "y_true": ("target",),
}

# Functions and classes as optax and Keras call them, by their names below `optifunc`.
PUBLIC_NAMES: Mapping[str, str] = {
    # the form
    "GradientTransformationExtraArgs": "GradientTransformation",
    "TransformInitFn": "GradientTransformation",
    "TransformUpdateExtraArgsFn": "GradientTransformation",
    "TransformUpdateFn": "GradientTransformation",
    "inject_hyperparams": "replace_hyperparameters",
    "inject_stateful_hyperparams": "replace_hyperparameters",
    "named_chain": "chain",
    "stateless": "transformation",
    "stateless_with_tree_map": "transformation",
    "with_extra_args_support": "as_transformation",
    # optimizers
    "adamaxw": "scale_by_adamax",
    "amsgrad": "adam",
    "nadamw": "nadam",
    "noisy_sgd": "add_noise",
    "optimistic_adam_v2": "optimistic_adam",
    "dadapt_adamw": "dadapt_adam",
    "schedule_free_eval_params": "eval_params",
    "GaLoreDimensionNumbers": "galore",
    "LookaheadParams": "lookahead",
    "MuonDimensionNumbers": "muon",
    "sign_sgd": "scale_by_sign",
    # their parts
    "add_weight_decay": "add_decayed_weights",
    "apply_weight_decay": "add_decayed_weights",
    "scale_by_amsgrad": "scale_by_adam",
    "scale_by_belief": "scale_by_adabelief",
    "scale_by_cocob": "step_by_cocob",
    "scale_by_distance_over_gradients": "step_by_dog",
    "scale_by_madgrad": "step_by_madgrad",
    "scale_by_optimistic_gradient": "scale_by_optimism",
    "scale_by_polyak": "step_by_polyak_sgd",
    "scale_by_factored_rms": "step_by_adafactor",
    "scale_by_rms": "scale_by_rmsprop",
    "scale_by_rprop": "step_by_rprop",
    "scale_by_rss": "scale_by_adagrad",
    "scale_by_schedule": "scale",
    "scale_by_stddev": "scale_by_rmsprop",
    "trace": "momentum",
    # around an optimizer
    "MultiSteps": "accumulate_gradients",
    "apply_every": "accumulate_gradients",
    "apply_if_finite": "skip_not_finite",
    "clip_by_norm": "clip_by_global_norm",
    "clip_by_value": "clip",
    "clip_grad_norm_": "clip_by_global_norm",
    "clip_grads_with_norm_": "scale",
    "clip_grad_value_": "clip",
    "conditionally_mask": "conditionally",
    "conditionally_transform": "conditionally",
    "freeze": "masked",
    "differentially_private_aggregate": "privatize",
    "dpsgd": "privatize",
    "incremental_update": "update_ema",
    "measure_with_ema": "monitor",
    "normalize": "normalize_by_update_norm",
    "per_example_global_norm_clip": "clip_per_example",
    "per_example_layer_norm_clip": "clip_per_example",
    "microbatch": "microbatched_value_and_grad",
    "micro_grad": "microbatched_value_and_grad",
    "multi_transform": "partition",
    "selective_transform": "partition",
    "unitwise_clip": "adaptive_grad_clip",
    "unitwise_norm": "adaptive_grad_clip",
    # states
    "AddNoiseState": "NoiseState",
    "ApplyEvery": "AccumulationState",
    "ApplyIfFiniteState": "SkipNotFiniteState",
    "COCOBState": "StepByCocobState",
    "ConditionallyMaskState": "ConditionalState",
    "ConditionallyTransformState": "ConditionalState",
    "DAdaptAdamWState": "StepByDadaptAdamState",
    "DifferentiallyPrivateAggregateState": "NoiseState",
    "DoGState": "StepByDogState",
    "DoWGState": "StepByDowgState",
    "FactoredState": "StepByAdafactorState",
    "GaLoreState": "ScaleByGaloreState",
    "HutchinsonState": "ScaleBySophiaState",
    "MadgradState": "StepByMadgradState",
    "MechanicState": "MechanizeState",
    "MomoAdamState": "StepByMomoAdamState",
    "MomoState": "StepByMomoState",
    "MultiStepsState": "AccumulationState",
    "MuonState": "ScaleByMuonState",
    "ProdigyState": "StepByProdigyState",
    "ReduceLROnPlateauState": "ReduceOnPlateauState",
    "SAMState": "SamInTurnsState",
    "ScaleByAdaDeltaState": "ScaleByAdadeltaState",
    "ScaleByAmsgradState": "ScaleByAdamState",
    "ScaleByBeliefState": "ScaleByAdabeliefState",
    "ScaleByLBFGSState": "ScaleByLbfgsState",
    "ScaleByRStdDevState": "ScaleByRmspropState",
    "ScaleByRmsState": "ScaleByRmspropState",
    "ScaleByRpropState": "StepByRpropState",
    "ScaleByRssState": "ScaleByAdagradState",
    "ScaleBySM3State": "ScaleBySm3State",
    "ScaleByScheduleState": "ScheduledState",
    "ScaleBySimplifiedAdEMAMixState": "ScaleBySimplifiedAdemamixState",
    "SophiaState": "ScaleBySophiaState",
    "TraceState": "MomentumState",
    "_deprecated_DifferentiallyPrivateAggregateState": "NoiseState",
    "tree_map_params": "map_state",
    # schedules
    "CosineDecay": "schedules.warmup_cosine",
    "CosineDecayRestarts": "schedules.cosine_annealing_warm_restarts",
    "ExponentialDecay": "schedules.exponential",
    "PiecewiseConstantDecay": "schedules.piecewise_constant",
    "PolynomialDecay": "schedules.polynomial",
    "ReduceLROnPlateau": "reduce_on_plateau",
    "cosine_decay_schedule": "schedules.warmup_cosine",
    "cosine_onecycle_schedule": "schedules.one_cycle",
    "exponential_decay": "schedules.exponential",
    "join_schedules": "schedules.sequential",
    "linear_onecycle_schedule": "schedules.one_cycle",
    "lr_find": "find_learning_rate",
    "linear_schedule": "schedules.from_to",
    "piecewise_constant_schedule": "schedules.piecewise_constant",
    "piecewise_interpolate_schedule": "schedules.piecewise_interpolated",
    "polynomial_schedule": "schedules.from_to",
    "sgdr_schedule": "schedules.sgdr",
    "warmup_constant_schedule": "schedules.warmup_stable_decay",
    "warmup_cosine_decay_schedule": "schedules.warmup_cosine",
    "warmup_exponential_decay_schedule": "schedules.sequential",
    # schedulers
    "CosineLR": "optim.lr_scheduler.CosineAnnealingLR",
    "CosineAnnealing": "optim.lr_scheduler.CosineAnnealingLR",
    "CosineWarmRestarts": "optim.lr_scheduler.CosineAnnealingWarmRestarts",
    "PolyLR": "optim.lr_scheduler.PolynomialLR",
    # functions of trees and of models
    "gradient_reversal": "scale_gradient",
    "grad_reverse": "scale_gradient",
    "lawa": "lawa_parameters",
    "model_soup": "uniform_soup",
    "hutchinson_estimator_diag_hessian": "linalg.hutchinson_diag",
    **{
        f"projection_{name}": f"projections.{name}"
        for name in (
            "box",
            "halfspace",
            "hypercube",
            "hyperplane",
            "l1_ball",
            "l1_sphere",
            "l2_ball",
            "l2_sphere",
            "linf_ball",
            "non_negative",
            "simplex",
            "vector",
        )
    },
    # losses and norms
    "cosine_distance": "losses.cosine_embedding_loss",
    "ctc_loss_with_forward_probs": "losses.ctc_loss",
    "convex_kl_divergence": "losses.generalized_kl_div",
    "generalized_kl_divergence": "losses.generalized_kl_div",
    "kl_divergence": "losses.kl_div",
    "kl_divergence_with_log_targets": "losses.kl_div",
    "l2_loss": "losses.mse_loss",
    "log_cosh": "losses.log_cosh_loss",
    "make_fenchel_young_loss": "losses.fenchel_young_loss",
    "multiclass_generalized_dice_loss": "losses.generalized_dice_loss",
    "norm": "global_norm",
    "ntxent": "losses.ntxent_loss",
    "poly_loss_cross_entropy": "losses.poly_loss",
    "sigmoid_binary_cross_entropy": "losses.binary_cross_entropy_with_logits",
    "smooth_labels": "losses.cross_entropy",
    "softmax_cross_entropy": "losses.cross_entropy",
    "softmax_cross_entropy_with_integer_labels": "losses.cross_entropy",
    "squared_error": "losses.mse_loss",
}


def suggestion(
    name: str,
    known: Iterable[str],
    foreign: Mapping[str, str | tuple[str, ...]],
    cutoff: float = 0.75,
) -> str:
    """The name in ``known`` that ``name`` refers to, or an empty string.

    **Arguments:**

    - ``name``: what a user wrote.
    - ``known``: names that exist in one place, such as a module.
    - ``foreign``: `ARGUMENTS` or `PUBLIC_NAMES`. What that place knows by its first
      part (``"schedules.linear"``) is found too.
    - ``cutoff``: how similar another name must be, from 0 to 1.
    """
    known = tuple(known)
    meant = foreign.get(name, ())
    for own in (meant,) if isinstance(meant, str) else meant:
        if own.partition(".")[0] in known:
            return own
        # Within `schedules` itself the name alone is right.
        if (last := own.rpartition(".")[2]) in known:
            return last
    by_lower_case = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=cutoff)
    return by_lower_case[close[0]] if close else ""


def check_argument_names(
    function: str, arguments: Mapping[str, Any], known: Iterable[str]
) -> None:
    """Check the names of keyword arguments.

    **Raises:** `TypeError` for the first unknown name, with the name that was meant.
    """
    known = tuple(known)
    for name in arguments:
        if name in known:
            continue
        own = suggestion(name, known, ARGUMENTS)
        meant = f"did you mean {own!r}?" if own else f"it takes {', '.join(known)}"
        raise TypeError(f"{function}() has no argument {name!r}; {meant}")


def check_group_keys(function: str, keys: Iterable[Any], known: Iterable[str]) -> None:
    """Check the keys of a group of parameters, which may be of any other kind.

    Only keys that stand for one of ``known`` are mistakes: users and packages keep
    their own values in groups.

    **Raises:** `TypeError` for the first mistake, with the name that was meant.
    """
    known = tuple(known)
    for key in keys:
        if key in known or not isinstance(key, str):
            continue
        # "weight_decay_scale" is no misspelling of "weight_decay".
        own = suggestion(key, known, ARGUMENTS, cutoff=0.85)
        if own:
            raise TypeError(
                f"{function} would ignore the key {key!r} of a parameter group; did "
                f"you mean {own!r}? (keys unlike the name of a hyperparameter are kept)"
            )


def unknown_attribute(module: str, name: str, members: Iterable[str]) -> AttributeError:
    """What to raise for a name that a module does not have."""
    own = suggestion(name, members, PUBLIC_NAMES)
    meant = f"; did you mean {module.rpartition('.')[2]}.{own}?" if own else ""
    # With the name alone, Python has nothing to add a suggestion of its own from.
    message = f"module {module!r} has no attribute {name!r}{meant}"
    return AttributeError(message, name=name)
