"""Muon."""

from __future__ import annotations

from typing import Any

import jax

from ..optimizers._muon import muon
from ._checks import check_array_lr, require
from ._layouts import TorchLayout
from ._optimizer import Optimizer
from ._signatures import given


class Muon(Optimizer):
    """`torch.optim.Muon`: orthogonalized momentum, for matrices; `optifunc.muon`.

    Arguments of `muon` that torch lacks can be set in a group::

        of.optim.Muon([{"params": kernels, "output_axis": -1}], lr=0.02)

    In addition to torch's, it loads the ``state_dict`` of Keller Jordan's package,
    whose groups have only ``lr``, ``weight_decay`` and ``momentum``.

    **Arguments:**

    - ``params``, and the flags that choose an implementation: see `Optimizer`.
    - the others: see `muon`.

    **Raises:** `ValueError` for a number out of range and for a parameter that is not
    two-dimensional; at the step, `RuntimeError` for complex parameters.
    """

    factory = muon
    layout = TorchLayout("momentum_buffer")
    short_group = frozenset(
        [
            "params",
            "param_names",
            "initial_lr",
            "lr",
            "weight_decay",
            "momentum",
            "use_muon",
        ]
    )
    no_complex = "{name} does not support complex parameters"

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
        values = given(locals())
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
        super().__init__(params, values)
        for leaf in jax.tree.leaves(self.params):
            require(
                leaf.ndim == 2,
                "Muon only supports 2D parameters whereas we found a parameter with "
                f"size: {leaf.shape}",
            )
