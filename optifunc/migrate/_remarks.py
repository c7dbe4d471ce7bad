"""Remarks about names, and how torch calls are written here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ..optim._checks import IMPLEMENTATION_FLAGS
from ._calls import Argument
from ._names import optax_row, torch_row

# Attributes of the objects that programs create; only the attribute's name is known.
STATE_FIELDS = (
    "states have torch's names (exp_avg, exp_avg_sq, momentum_buffer, step): "
    "of.find_in_state(state, ...) finds a part; the states of optifunc.compat.optax "
    "have optax's names"
)
OF_OPTAX: Mapping[str, str] = {
    "hyperparams": (
        "hyperparams: numbers are leaves of the transformation here: "
        "of.current_hyperparameters(tx, state) reads them, "
        "of.replace_hyperparameters(tx, lr=...) changes them"
    ),
    **dict.fromkeys(
        (
            *("mu", "nu", "mini_step", "gradient_step", "acc_grads"),
            *("inner_state", "inner_states", "inner_opt_state", "notfinite_count"),
        ),
        STATE_FIELDS,
    ),
}
OF_TORCH: Mapping[str, str] = {
    "backward": (
        "backward: gradients are of functions here: "
        "optimizer.backward(loss_fn, *args) adds those of loss_fn(params, *args) to "
        "optimizer.grads and returns the loss"
    ),
    "parameters": (
        "parameters: the optimizer takes a tree of arrays; afterward their current "
        "values are in optimizer.params"
    ),
}
DIFFERENT_IN_TORCH: Mapping[str, str] = {
    "clip_grad_norm_": "takes the optimizer, whose grads are clipped",
    "clip_grad_value_": "takes the optimizer, whose grads are clipped",
    "GradScaler": "a wrapper of the optimizer, with torch's defaults",
}

# The modules of losses whose functions have other names.
LOSS_FUNCTIONS: Mapping[str, str] = {
    "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "CTCLoss": "ctc_loss",
    "CrossEntropyLoss": "cross_entropy",
    "GaussianNLLLoss": "gaussian_nll_loss",
    "KLDivLoss": "kl_div",
    "L1Loss": "l1_loss",
    "MSELoss": "mse_loss",
    "MultiLabelMarginLoss": "multilabel_margin_loss",
    "MultiLabelSoftMarginLoss": "multilabel_soft_margin_loss",
    "NLLLoss": "nll_loss",
    "PoissonNLLLoss": "poisson_nll_loss",
    "SmoothL1Loss": "smooth_l1_loss",
}
SCALERS = {"torch.amp.GradScaler", "torch.cuda.amp.GradScaler"}


def is_watched(name: str) -> bool:
    """Whether there is a remark about a full name."""
    if name.startswith(("optax.", "torch.optim.", "torch.nn.utils.clip_grad")):
        return True
    if name in SCALERS:
        return True
    module, _, last = name.rpartition(".")
    if module == "torch.nn.functional":
        return torch_row(last) is not None
    return module in ("torch.nn", "torch.nn.modules.loss") and _is_loss(last)


def remark(name: str) -> Iterator[str]:
    """Remarks about a name whose call cannot simply be replaced."""
    last = name.rpartition(".")[2]
    if name.startswith("optax."):
        short = name.removeprefix("optax.")
        row = optax_row(short)
        if row is None:
            yield f"{short}: not a name that is known here"
        else:
            parts = [row.sign, row.ours, row.remark]
            yield f"{short}: {', '.join(plain(part) for part in parts if part)}"
    elif last in DIFFERENT_IN_TORCH:
        yield f"{last}: {DIFFERENT_IN_TORCH[last]}"
    elif _is_loss(last):
        yield f"{last}: a function, called with (input, target)"
    elif torch_target(name) is None:
        yield f"{last}: none"


def torch_call(name: str, arguments: Sequence[Argument]) -> str | None:
    """A torch call as it is written here; None if there is no counterpart."""
    target = torch_target(name)
    if target is None:
        return None
    kept = [a for a in arguments if a.keyword not in IMPLEMENTATION_FLAGS]
    if target.startswith("of.optim.clip_grad."):
        kept = [Argument("optimizer"), *kept[1:]]
    if target == "of.dynamic_loss_scale":
        kept = [Argument("tx"), *(a for a in kept if a.keyword not in (None, "device"))]
    texts = ["params" if _is_parameters(a.code) else str(a) for a in kept]
    if _is_loss(name.rpartition(".")[2]):
        return f"functools.partial({', '.join([target, *texts])})" if texts else target
    return f"{target}({', '.join(texts)})"


def torch_target(name: str) -> str | None:
    """The counterpart of a torch name."""
    if name in SCALERS:
        return "of.dynamic_loss_scale"
    last = name.rpartition(".")[2]
    if _is_loss(last):
        return f"of.losses.{loss_function(last)}"
    row = torch_row(last)
    found = re.search(r"`(of\.[\w.]+)`", row.ours) if row else None
    return found[1] if found else None


def loss_function(module: str) -> str:
    """The name of the function of a module of losses."""
    known = LOSS_FUNCTIONS.get(module)
    return known or re.sub(r"(?<!^)(?=[A-Z])", "_", module).lower()


def _is_loss(last: str) -> bool:
    return last.endswith("Loss") and torch_row(loss_function(last)) is not None


def _is_parameters(code: str) -> bool:
    return bool(re.fullmatch(r"[\w.]+\.parameters\(\)", code))


def plain(markdown: str) -> str:
    """Text without Markdown's marks."""
    return re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", markdown.replace("`", ""))
