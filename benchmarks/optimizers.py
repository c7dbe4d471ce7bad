"""Each optimizer in every library, with arguments that make them the same."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax.numpy as jnp
import optax

import optifunc as of
from optifunc import optim

from .agreement import SHARE, TOLERANCE
from .pytorch import torch

TORCH_VARIANTS = {
    "torch": {"foreach": False},
    "torch foreach": {"foreach": True},
    "torch fused": {"fused": True},
}


@dataclass(frozen=True)
class Optimizer:
    """How to make one optimizer in each library; None where it has no such one."""

    name: str
    title: str
    pure: Callable[[], Any]
    stateful: Callable[[Any], Any]
    optax: Callable[[], Any] | None
    torch: Callable[..., Any] | None
    # The implementations torch has of it, and the arguments that choose them.
    variants: dict[str, dict[str, bool]] = field(default_factory=dict)
    # The numbers that a step must read and write for each parameter, at least; None if
    # it treats more than single elements.
    accesses: int | None = None
    matrices_only: bool = False
    # How far apart the contenders may end, as in `check_agreement`.
    tolerance: float = TOLERANCE
    share: float = SHARE
    remark: str = ""


def _torch(name: str, **arguments: Any) -> Callable[..., Any] | None:
    return None if torch is None else partial(getattr(torch.optim, name), **arguments)


def _table(*optimizers: Optimizer) -> dict[str, Optimizer]:
    return {optimizer.name: optimizer for optimizer in optimizers}


# Optax counts rows and columns the other way round; this factor does not ask which.
_MUON: dict[str, Any] = {
    "lr": 1e-3,
    "nesterov": False,
    "adjust_lr_fn": "match_rms_adamw",
}
# Floors so low that none of them is met.
_ADAFACTOR: dict[str, Any] = {"lr": 1e-4, "eps": (1e-30, 1e-3)}

OPTIMIZERS = _table(
    Optimizer(
        "sgd",
        "SGD",
        pure=lambda: of.sgd(1e-3),
        stateful=lambda params: optim.SGD(params, lr=1e-3),
        optax=lambda: optax.sgd(1e-3),
        torch=_torch("SGD", lr=1e-3),
        variants=TORCH_VARIANTS,
        accesses=3,
    ),
    Optimizer(
        "momentum",
        "SGD with momentum",
        pure=lambda: of.sgd(1e-3, 0.9),
        stateful=lambda params: optim.SGD(params, lr=1e-3, momentum=0.9),
        optax=lambda: optax.sgd(1e-3, 0.9),
        torch=_torch("SGD", lr=1e-3, momentum=0.9),
        variants=TORCH_VARIANTS,
        accesses=5,
    ),
    Optimizer(
        "adamw",
        "AdamW",
        pure=lambda: of.adamw(1e-3),
        stateful=lambda params: optim.AdamW(params, lr=1e-3),
        optax=lambda: optax.adamw(1e-3, weight_decay=1e-2),
        torch=_torch("AdamW", lr=1e-3),
        variants=TORCH_VARIANTS,
        accesses=7,
    ),
    Optimizer(
        "adafactor",
        "Adafactor",
        pure=lambda: of.adafactor(**_ADAFACTOR),
        stateful=lambda params: optim.Adafactor(params, **_ADAFACTOR),
        optax=lambda: optax.adafactor(1e-4, min_dim_size_to_factor=1),
        torch=_torch("Adafactor", **_ADAFACTOR),
        variants={name: TORCH_VARIANTS[name] for name in ("torch", "torch foreach")},
        # Torch's norm of 39 million numbers is off by 3e-3, and so is the step.
        share=1e-2,
    ),
    Optimizer(
        "muon",
        "Muon in float32",
        pure=lambda: of.muon(**_MUON, ns_dtype=jnp.float32),
        # Torch's interface has no argument for the dtype.
        stateful=lambda params: optim.Stateful(
            of.muon(**_MUON, ns_dtype=jnp.float32), params
        ),
        # Its correction of the average is a factor, which the orthogonalization undoes.
        optax=lambda: optax.contrib.muon(
            1e-3, nesterov=False, weight_decay=0.1, consistent_rms=0.2
        ),
        torch=None,
        matrices_only=True,
        remark="torch's Muon computes in bfloat16 only",
    ),
    Optimizer(
        "muon_bfloat16",
        "Muon in bfloat16",
        pure=lambda: of.muon(**_MUON),
        stateful=lambda params: optim.Muon(params, **_MUON),
        optax=None,
        torch=_torch("Muon", **_MUON),
        variants={"torch": {}},
        matrices_only=True,
        # Singular values near 0 grow, and what bfloat16 has rounded off of them too.
        tolerance=1e-4,
        share=1e-2,
        remark="optax's Muon computes in the dtype of the gradients; the others end "
        "within 1e-4 of each other, which is rounding in bfloat16",
    ),
)
