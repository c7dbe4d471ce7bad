"""AdamW with generalized primal averaging."""

from __future__ import annotations

from ..optimizers._gpa_adamw import gpa_adamw
from ._evaluating import Evaluating


class GPAAdamW(Evaluating):
    """The authors' class of the same name: `optifunc.gpa_adamw`, stateful.

    ``optimizer.eval()`` switches `params` to the averages, which you evaluate and save,
    and ``optimizer.train()`` switches back; it starts in training mode.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `gpa_adamw`.
    """

    factory = gpa_adamw
    interpolation = "train_interp_coeff"
