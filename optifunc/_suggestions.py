"""Names from other libraries, and what they are called here."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

# Hyperparameters as optax, Keras and PyTorch packages call them.
ARGUMENTS: Mapping[str, str] = {
    "learning_rate": "lr",
    "step_size": "lr",
    "eta": "lr",
    "b1": "betas",
    "b2": "betas",
    "beta1": "betas",
    "beta2": "betas",
    "beta_1": "betas",
    "beta_2": "betas",
    "epsilon": "eps",
    "decay": "alpha",
    "rho": "alpha",
    "wd": "weight_decay",
    "decay_rate": "weight_decay",
    "weight_decay_mask": "mask",
    "decay_mask_fn": "mask",
    "max_delta": "max_value",
    "clip_value": "max_value",
    "clip_norm": "max_norm",
    "max_grad_norm": "max_norm",
    "init_value": "base",
    "every_k_schedule": "every",
    "every_k": "every",
    "accumulation_steps": "every",
    "max_consecutive_errors": "max_consecutive",
    "param_labels": "labels",
    "transforms": "transformations",
    "step_size_fn": "factor",
}

# Functions and classes as optax and Keras call them.
PUBLIC_NAMES: Mapping[str, str] = {
    "apply_every": "accumulate_gradients",
    "MultiSteps": "accumulate_gradients",
    "apply_if_finite": "skip_not_finite",
    "apply_weight_decay": "add_decayed_weights",
    "conditionally_transform": "conditionally",
    "multi_transform": "partition",
    "trace": "momentum",
    "inject_hyperparams": "replace_hyperparameters",
    "scale_by_schedule": "scale",
    "scale_by_rms": "scale_by_rmsprop",
    "clip_by_value": "clip",
    "ema": "ema_parameters",
    "noisy_sgd": "add_noise",
    "named_chain": "chain",
}


def suggestion(name: str, known: Iterable[str], foreign: Mapping[str, str]) -> str:
    """The one of ``known`` that ``name`` stands for, or an empty string."""
    known = tuple(known)
    own = foreign.get(name)
    if own in known:
        return own
    by_lower_case = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.75)
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
