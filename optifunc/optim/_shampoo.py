"""Shampoo."""

from __future__ import annotations

from ..optimizers._shampoo import shampoo
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class Shampoo(Optimizer):
    """Gradients divided by roots of their second moments; `optifunc.shampoo`.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `shampoo`.
    """

    factory = shampoo
    layout = TorchLayout(
        "step",
        "exp_avg",
        "exp_avg_sq",
        "factor_matrices",
        "inv_factor_matrices",
        "factor_matrices_eigenvectors",
        "corrected_eigenvalues",
        step_type=int,
    )
    no_complex = "{name} does not support complex parameters"
