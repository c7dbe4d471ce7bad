"""Optimizers that divide by past gradients: Adagrad, Adadelta, RMSprop, Adafactor."""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax.numpy as jnp

from .._transformation import GradientTransformation
from ..optimizers._adadelta import adadelta
from ..optimizers._adafactor import adafactor
from ..optimizers._adagrad import adagrad
from ..optimizers._rmsprop import rmsprop
from ..wrappers._chain import chain
from ._checks import (
    check_array_lr,
    check_eps,
    check_lr,
    check_not_negative,
    require,
)
from ._cohorts import count_steps
from ._optimizer import Optimizer
from ._parameters import Group


class Adagrad(Optimizer):
    """`torch.optim.Adagrad`; `optifunc.adagrad`, stateful.

    The parameters of the constructor have state from the start. As in torch the
    ``initial_accumulator_value`` is the constructor's, whatever a group says.

    **Arguments:** ``params``, and the flags that choose an implementation: as of
    `Optimizer`; the others: as of `adagrad`.

    **Raises:** `ValueError` for a number out of range.
    """

    fields = ("step", "sum")
    later_keys: ClassVar = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "fused": None,
    }

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative(
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
        )
        check_eps(eps)
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "fused": fused,
            },
        )
        count = len(self._gradients)
        self._cohorts, _, self._order = self._plan([True] * count)

    def _transformation(self, group: Group) -> GradientTransformation:
        return adagrad(
            group["lr"],
            group["lr_decay"],
            group["weight_decay"],
            self.defaults["initial_accumulator_value"],
            group["eps"],
            maximize=group["maximize"],
        )


class Adadelta(Optimizer):
    """`torch.optim.Adadelta`; `optifunc.adadelta`, stateful.

    **Arguments:** ``params``, and the flags that choose an implementation: as of
    `Optimizer`; the others: as of `adadelta`.

    **Raises:** `ValueError` for a number out of range.
    """

    fields = ("step", "square_avg", "acc_delta")
    later_keys: ClassVar = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        require(0.0 <= rho <= 1.0, f"Invalid rho value: {rho}")
        check_eps(eps)
        check_not_negative(weight_decay=weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "capturable": capturable,
                "foreach": foreach,
                "differentiable": differentiable,
            },
        )

    def _transformation(self, group: Group) -> GradientTransformation:
        tx = adadelta(
            group["lr"],
            group["rho"],
            group["eps"],
            group["weight_decay"],
            maximize=group["maximize"],
        )
        return chain(tx, count_steps())


class RMSprop(Optimizer):
    """`torch.optim.RMSprop`; `optifunc.rmsprop`, stateful.

    **Arguments:** ``params``, and the flags that choose an implementation: as of
    `Optimizer`; the others: as of `rmsprop`.

    **Raises:** `ValueError` for a number out of range.
    """

    fields = ("step", "square_avg", "momentum_buffer", "grad_avg")
    later_keys: ClassVar = {
        "momentum": 0,
        "centered": False,
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_eps(eps)
        check_not_negative(momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def _transformation(self, group: Group) -> GradientTransformation:
        tx = rmsprop(
            group["lr"],
            group["alpha"],
            group["eps"],
            group["weight_decay"],
            group["momentum"],
            group["centered"],
            group["maximize"],
        )
        return chain(tx, count_steps())


class Adafactor(Optimizer):
    """`torch.optim.Adafactor`; `optifunc.adafactor`, stateful.

    **Arguments:** ``params``, and the flags that choose an implementation: as of
    `Optimizer`; the others: as of `adafactor`.

    **Raises:** `ValueError` for a number out of range; at the step `RuntimeError` for
    complex parameters.
    """

    fields = ("step", "row_var", "col_var", "variance")
    later_keys: ClassVar = {"foreach": None}

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_array_lr(lr)
        require(lr >= 0.0, f"Learning rate should be >= 0 but is: {lr}")
        require(beta2_decay <= 0.0, f"beta2_decay should be <= 0 but is: {beta2_decay}")
        require(
            eps[0] is None or eps[0] >= 0.0, f"epsilon1 should be >= 0 but is: {eps[0]}"
        )
        require(eps[1] >= 0.0, f"epsilon2 should be >= 0 but is: {eps[1]}")
        require(d >= 1.0, f"Clipping threshold d should be >= 1 but is: {d}")
        require(
            weight_decay >= 0.0, f"weight_decay should be >= 0 but is: {weight_decay}"
        )
        super().__init__(
            params,
            {
                "lr": lr,
                "beta2_decay": beta2_decay,
                "eps": eps,
                "d": d,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
            },
        )

    def _check_gradients(self, leaves: Sequence[Any]) -> None:
        super()._check_gradients(leaves)
        if any(map(jnp.iscomplexobj, leaves)):
            raise RuntimeError("Adafactor does not support complex parameters")

    def _transformation(self, group: Group) -> GradientTransformation:
        return adafactor(
            group["lr"],
            group["beta2_decay"],
            group["eps"],
            group["d"],
            group["weight_decay"],
            maximize=group["maximize"],
        )
