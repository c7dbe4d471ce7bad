"""SparseAdam."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .._tree import is_sparse
from ..optimizers._sparse_adam import sparse_adam
from ._checks import check_array_lr, check_betas, require
from ._layouts import TorchLayout
from ._optimizer import Optimizer
from ._signatures import given


class SparseAdam(Optimizer):
    """`torch.optim.SparseAdam`: Adam on the entries of a sparse gradient.

    `optifunc.sparse_adam`, stateful. Gradients are `jax.experimental.sparse.BCOO`, so
    they come from ``step(grads=...)`` or an assignment to `grads`.

    **Arguments:**

    - ``params``, and the flags that choose an implementation: see `Optimizer`.
    - the others: see `sparse_adam`.

    **Raises:** `ValueError` for a number out of range, and for sparse or complex
    parameters; at the step, `RuntimeError` for a dense gradient.
    """

    factory = sparse_adam
    layout = TorchLayout("step", "exp_avg", "exp_avg_sq", step_type=int)
    no_sparse = None
    no_dense = (
        "SparseAdam does not support dense gradients, please consider Adam instead"
    )

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        values = given(locals())
        check_array_lr(lr)
        require(lr > 0.0, f"Invalid learning rate: {lr}")
        require(eps > 0.0, f"Invalid epsilon value: {eps}")
        check_betas(betas)
        super().__init__(params, values)
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
