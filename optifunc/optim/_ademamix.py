"""AdEMAMix."""

from __future__ import annotations

from ..optimizers._ademamix import ademamix
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class AdEMAMix(Optimizer):
    """AdEMAMix, with the arguments and checkpoints of its authors.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `ademamix`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = ademamix
    layout = TorchLayout(
        "step", "exp_avg_fast", "exp_avg_slow", "exp_avg_sq", step_type=int
    )
