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
    # Whether torch's step changes the gradients, as a clip does.
    writes_grads: bool = False
    # How far apart the contenders may end, as in `check_agreement`.
    tolerance: float = TOLERANCE
    share: float = SHARE
    remark: str = ""


def _torch(name: str, **arguments: Any) -> Callable[..., Any] | None:
    return None if torch is None else partial(getattr(torch.optim, name), **arguments)


class ClippedAdamW:
    """Torch's AdamW after its clip by global norm."""

    def __init__(self, params: list[Any], **arguments: Any) -> None:
        self._params, self._adamw = params, torch.optim.AdamW(params, **arguments)

    @property
    def state(self) -> Any:
        return self._adamw.state

    def step(self) -> None:
        torch.nn.utils.clip_grad_norm_(self._params, MAX_NORM)
        self._adamw.step()


def _of_torch(name: str, accesses: int) -> Optimizer:
    """An optimizer with torch's rule and defaults, which are not optax's."""
    return Optimizer(
        name.lower(),
        name,
        pure=getattr(of, name.lower()),
        stateful=getattr(optim, name),
        optax=None,
        torch=_torch(name),
        variants={"torch foreach": TORCH_VARIANTS["torch foreach"]},
        accesses=accesses,
    )


def _table(*optimizers: Optimizer) -> dict[str, Optimizer]:
    return {optimizer.name: optimizer for optimizer in optimizers}


# Optax counts rows and columns the other way round; this factor does not ask which.
_MUON: dict[str, Any] = {
    "lr": 1e-3,
    "nesterov": False,
    "adjust_lr_fn": "match_rms_adamw",
}
MAX_NORM = 1.0  # far below that of the gradients here

# Floors so low that none of them is met.
_ADAFACTOR: dict[str, Any] = {"lr": 1e-4, "eps": (1e-30, 1e-3)}


def _clipped_adamw() -> Any:
    return of.chain(of.clip_by_global_norm(MAX_NORM), of.adamw(1e-3))


# Torch's other rules that work element by element: the class, and the numbers that a
# step reads and writes for each parameter.
OTHERS = (
    ("Adadelta", 7),
    ("Adagrad", 5),
    ("Adamax", 7),
    ("ASGD", 5),
    ("NAdam", 7),
    ("RAdam", 7),
    ("RMSprop", 5),
    ("Rprop", 7),
)
RULES = tuple(name.lower() for name, _ in OTHERS)  # as they are called here

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
        "clipped_adamw",
        "clip + AdamW",
        pure=_clipped_adamw,
        stateful=lambda params: optim.Stateful(_clipped_adamw(), params),
        optax=lambda: optax.chain(
            optax.clip_by_global_norm(MAX_NORM), optax.adamw(1e-3, weight_decay=1e-2)
        ),
        torch=None if torch is None else partial(ClippedAdamW, lr=1e-3),
        variants=TORCH_VARIANTS,
        accesses=8,
        writes_grads=True,
    ),
    *(_of_torch(*row) for row in OTHERS),
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
