"""Kron."""

from __future__ import annotations

from ..optimizers._kron import kron
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class Kron(Optimizer):
    """PSGD with a Kronecker product of triangular factors; `optifunc.kron`.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `kron`.
    """

    factory = kron
    layout = TorchLayout(
        "step", "update_counter", "key", "momentum_buffer", "Q", step_type=int
    )
    no_complex = "{name} does not support complex parameters"
