"""SGD, ASGD, Rprop and Muon."""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from .._transformation import GradientTransformation
from ..optimizers._asgd import asgd
from ..optimizers._muon import muon
from ..optimizers._rprop import rprop
from ..optimizers._sgd import sgd
from ..wrappers._chain import chain
from ._checks import check_array_lr, check_lr, check_not_negative, require
from ._cohorts import count_steps
from ._optimizer import Optimizer
from ._parameters import Group

LATER_KEYS = {
    "foreach": None,
    "maximize": False,
    "differentiable": False,
    "capturable": False,
}


class SGD(Optimizer):
    """`torch.optim.SGD`: gradient descent with momentum; `optifunc.sgd`, stateful.

    **Arguments:** ``params``, and the flags that choose an implementation: as of
    `Optimizer`; the others: as of `sgd`.

    **Raises:** `ValueError` for a number out of range, and for ``nesterov`` without
    momentum or with dampening.
    """

    fields = ("momentum_buffer",)
    lazy_fields = frozenset({"momentum_buffer"})
    later_keys: ClassVar = {
        "nesterov": False,
        "maximize": False,
        "foreach": None,
        "differentiable": False,
        "fused": False,
    }
    no_sparse = None

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative(momentum=momentum, weight_decay=weight_decay)
        require(
            not nesterov or (momentum > 0 and dampening == 0),
            "Nesterov momentum requires a momentum and zero dampening",
        )
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    def _transformation(self, group: Group) -> GradientTransformation:
        return sgd(
            group["lr"],
            group["momentum"],
            group["dampening"],
            group["weight_decay"],
            group["nesterov"],
            maximize=group["maximize"],
        )


class ASGD(Optimizer):
    """`torch.optim.ASGD`: averaged gradient descent; `optifunc.asgd`, stateful.

    A changed ``lr`` acts one step late, as in torch. The average of the iterates is
    ``state[i]["ax"]``.

    **Arguments:** ``params``, and the flags that choose an implementation: as of
    `Optimizer`; the others: as of `asgd`.

    **Raises:** `ValueError` for a negative ``lr`` or ``weight_decay``, and for NaN.
    """

    fields = ("step", "eta", "mu", "ax")
    later_keys = LATER_KEYS

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative(weight_decay=weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "lambd": lambd,
                "alpha": alpha,
                "t0": t0,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _transformation(self, group: Group) -> GradientTransformation:
        return asgd(
            group["lr"],
            group["lambd"],
            group["alpha"],
            group["t0"],
            group["weight_decay"],
            group["maximize"],
        )


class Rprop(Optimizer):
    """`torch.optim.Rprop`: steps by signs, for full batches; `optifunc.rprop`.

    ``lr`` is the first step size and read only when a parameter gets its first
    gradient, as in torch.

    **Arguments:** ``params``, and the flags that choose an implementation: as of
    `Optimizer`; the others: as of `rprop`.

    **Raises:** `ValueError` for a number out of range.
    """

    fields = ("step", "prev", "step_size")
    later_keys = LATER_KEYS

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        require(
            0.0 < etas[0] < 1.0 < etas[1], f"Invalid eta values: {etas[0]}, {etas[1]}"
        )
        super().__init__(
            params,
            {
                "lr": lr,
                "etas": etas,
                "step_sizes": step_sizes,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _transformation(self, group: Group) -> GradientTransformation:
        tx = rprop(
            group["lr"], group["etas"], group["step_sizes"], maximize=group["maximize"]
        )
        return chain(tx, count_steps())


class Muon(Optimizer):
    """`torch.optim.Muon`: orthogonalised momentum, for matrices; `optifunc.muon`.

    **Arguments:** ``params``, and the flags that choose an implementation: as of
    `Optimizer`; the others: as of `muon`.

    **Raises:** `ValueError` for a number out of range and for a parameter that is not
    two-dimensional; at the step `RuntimeError` for complex parameters.
    """

    fields = ("momentum_buffer",)

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_array_lr(lr)
        require(lr >= 0.0, f"Learning rate should be >= 0 but is: {lr}")
        require(momentum >= 0.0, f"momentum should be >= 0 but is: {momentum}")
        require(
            weight_decay >= 0.0, f"weight decay should be >= 0 but is: {weight_decay}"
        )
        require(
            adjust_lr_fn in (None, "original", "match_rms_adamw"),
            f"Adjust learning rate function {adjust_lr_fn} is not supported",
        )
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_coefficients": ns_coefficients,
                "eps": eps,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
            },
        )
        for leaf in jax.tree.leaves(self.params):
            require(
                leaf.ndim == 2,
                "Muon only supports 2D parameters whereas we found a parameter with "
                f"size: {leaf.shape}",
            )

    def _check_gradients(self, leaves: Sequence[Any]) -> None:
        super()._check_gradients(leaves)
        if any(map(jnp.iscomplexobj, leaves)):
            raise RuntimeError("Muon does not support complex parameters")

    def _transformation(self, group: Group) -> GradientTransformation:
        return muon(
            group["lr"],
            group["weight_decay"],
            group["momentum"],
            group["nesterov"],
            group["ns_coefficients"],
            group["eps"],
            group["ns_steps"],
            group["adjust_lr_fn"],
        )
