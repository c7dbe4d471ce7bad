"""Adam and its relatives: AdamW, NAdam, RAdam, Adamax, SparseAdam."""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from .._transformation import GradientTransformation
from .._tree import is_sparse
from ..optimizers._adam import adam
from ..optimizers._adamax import adamax
from ..optimizers._nadam import nadam
from ..optimizers._radam import radam
from ..optimizers._sparse_adam import sparse_adam
from ._checks import (
    check_array_lr,
    check_betas,
    check_eps,
    check_lr,
    check_not_negative,
    is_array_valued,
    require,
)
from ._optimizer import Optimizer
from ._parameters import Group

LATER_KEYS = {
    "maximize": False,
    "foreach": None,
    "capturable": False,
    "differentiable": False,
}


class Adam(Optimizer):
    """`torch.optim.Adam`; `optifunc.adam`, stateful.

    **Arguments:** ``params``, and the flags that choose an implementation: as of
    `Optimizer`; the others: as of `adam`.

    **Raises:** `ValueError` for a number out of range, and for ``betas`` of which one
    is an array; `RuntimeError` for ``fused`` with ``foreach`` or ``differentiable``.
    """

    fields = ("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    later_keys: ClassVar = {
        "amsgrad": False,
        **LATER_KEYS,
        "fused": None,
        "decoupled_weight_decay": False,
    }
    no_sparse = (
        "Adam does not support sparse gradients, please consider SparseAdam instead"
    )

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        unsupported = "as a Tensor is not supported for capturable=False and foreach="
        if is_array_valued(lr):
            require(not foreach or capturable, f"lr {unsupported}True")
        check_lr(lr)
        check_eps(eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        arrays = [is_array_valued(beta) for beta in betas]
        require(
            all(arrays) or all(isinstance(beta, float) for beta in betas),
            "betas must be either both floats or both Tensors",
        )
        for i, beta in enumerate(betas):
            if arrays[i]:
                require(not foreach or capturable, f"betas[{i}] {unsupported}True")
                require(np.size(beta) == 1, f"Tensor betas[{i}] must be 1-element")
        if fused:
            require(
                not differentiable,
                "`fused` does not support `differentiable`",
                RuntimeError,
            )
            require(
                not foreach,
                "`fused` and `foreach` cannot be `True` together.",
                RuntimeError,
            )
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def _transformation(self, group: Group) -> GradientTransformation:
        return adam(
            group["lr"],
            group["betas"],
            group["eps"],
            group["weight_decay"],
            group["amsgrad"],
            maximize=group["maximize"],
            decoupled_weight_decay=group["decoupled_weight_decay"],
        )


class AdamW(Adam):
    """`torch.optim.AdamW`: Adam, with decoupled weight decay; `optifunc.adamw`.

    **Arguments:** ``params``, and the flags that choose an implementation: as of
    `Optimizer`; the others: as of `adam`.

    **Raises:** as `Adam`.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def _loaded_group(self, old: Group, new: Group) -> Group:
        # Checkpoints of old say False, and meant True.
        return {**super()._loaded_group(old, new), "decoupled_weight_decay": True}


class NAdam(Optimizer):
    """`torch.optim.NAdam`: Adam with Nesterov momentum; `optifunc.nadam`, stateful.

    **Arguments:** ``params``, and the flags that choose an implementation: as of
    `Optimizer`; the others: as of `nadam`.

    **Raises:** `ValueError` for a number out of range.
    """

    fields = ("step", "mu_product", "exp_avg", "exp_avg_sq")
    later_keys: ClassVar = {**LATER_KEYS, "decoupled_weight_decay": False}

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_eps(eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay, momentum_decay=momentum_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def _transformation(self, group: Group) -> GradientTransformation:
        return nadam(
            group["lr"],
            group["betas"],
            group["eps"],
            group["weight_decay"],
            group["momentum_decay"],
            group["decoupled_weight_decay"],
            maximize=group["maximize"],
        )


class RAdam(Optimizer):
    """`torch.optim.RAdam`: rectified Adam; `optifunc.radam`, stateful.

    **Arguments:** ``params``, and the flags that choose an implementation: as of
    `Optimizer`; the others: as of `radam`.

    **Raises:** `ValueError` for a number out of range.
    """

    fields = ("step", "exp_avg", "exp_avg_sq")
    later_keys: ClassVar = {**LATER_KEYS, "decoupled_weight_decay": False}

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_eps(eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "decoupled_weight_decay": decoupled_weight_decay,
                "differentiable": differentiable,
            },
        )

    def _transformation(self, group: Group) -> GradientTransformation:
        return radam(
            group["lr"],
            group["betas"],
            group["eps"],
            group["weight_decay"],
            group["decoupled_weight_decay"],
            maximize=group["maximize"],
        )


class Adamax(Optimizer):
    """`torch.optim.Adamax`: Adam with the largest gradient; `optifunc.adamax`.

    **Arguments:** ``params``, and the flags that choose an implementation: as of
    `Optimizer`; the others: as of `adamax`.

    **Raises:** `ValueError` for a number out of range.
    """

    fields = ("step", "exp_avg", "exp_inf")
    later_keys = LATER_KEYS

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_eps(eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _transformation(self, group: Group) -> GradientTransformation:
        return adamax(
            group["lr"],
            group["betas"],
            group["eps"],
            group["weight_decay"],
            maximize=group["maximize"],
        )


class SparseAdam(Optimizer):
    """`torch.optim.SparseAdam`: Adam on a gradient's own entries.

    `optifunc.sparse_adam`, stateful. Gradients are `jax.experimental.sparse.BCOO`, so
    they come from ``step(grads=...)`` or an assignment to `grads`.

    **Arguments:** ``params``, and the flags that choose an implementation: as of
    `Optimizer`; the others: as of `sparse_adam`.

    **Raises:** `ValueError` for a number out of range, and for sparse or complex
    parameters; at the step `RuntimeError` for a dense gradient.
    """

    fields = ("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        check_array_lr(lr)
        require(lr > 0.0, f"Invalid learning rate: {lr}")
        require(eps > 0.0, f"Invalid epsilon value: {eps}")
        check_betas(betas)
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize}
        )
        sparse, complex_ = [], []
        for g, group in enumerate(self.param_groups):
            leaves = jax.tree.leaves(group["params"], is_leaf=is_sparse)
            for i, leaf in enumerate(leaves):
                sparse += [[g, i]] if is_sparse(leaf) else []
                complex_ += [[g, i]] if jnp.iscomplexobj(leaf) else []
        require(
            not sparse,
            f"Sparse params at indices {sparse}: SparseAdam requires dense parameter "
            "tensors",
        )
        require(
            not complex_,
            f"Complex params at indices {complex_}: SparseAdam does not support "
            "complex parameters",
        )

    def _check_gradients(self, leaves: Sequence[Any]) -> None:
        if not all(g is None or is_sparse(g) for g in leaves):
            raise RuntimeError(
                "SparseAdam does not support dense gradients, please consider Adam "
                "instead"
            )

    def _exported(self, key: str, value: Any) -> Any:
        # Here torch counts in integers.
        return int(value) if key == "step" else super()._exported(key, value)

    def _transformation(self, group: Group) -> GradientTransformation:
        return sparse_adam(group["lr"], group["betas"], group["eps"], group["maximize"])
