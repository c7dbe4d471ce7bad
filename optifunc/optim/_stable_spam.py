"""Stable-SPAM."""

from __future__ import annotations

from ..optimizers._stable_spam import stable_spam
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class StableSPAM(Optimizer):
    """`optifunc.stable_spam`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `stable_spam`.
    """

    factory = stable_spam
    layout = TorchLayout(
        "step", "exp_avg", "exp_avg_sq", "m_max_t", "m_norm_t", "v_norm_t"
    )
    no_complex = "{name} does not support complex parameters"
