"""SimplifiedAdEMAMix."""

from __future__ import annotations

from ..optimizers._simplified_ademamix import simplified_ademamix
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class SimplifiedAdEMAMix(Optimizer):
    """AdEMAMix with one average; `optifunc.simplified_ademamix`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `simplified_ademamix`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = simplified_ademamix
    layout = TorchLayout("step", "exp_sum", "exp_avg_sq")
