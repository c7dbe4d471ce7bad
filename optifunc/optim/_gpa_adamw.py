"""AdamW with generalized primal averaging."""

from __future__ import annotations

from ..optimizers._gpa_adamw import gpa_adamw
from ._evaluating import Evaluating


class GPAAdamW(Evaluating):
    """The authors' class of that name: `optifunc.gpa_adamw`, stateful.

    ``optimizer.eval()`` makes `params` the averages that are to be evaluated and saved,
    and ``optimizer.train()`` goes back; it begins in training.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `gpa_adamw`.
    """

    factory = gpa_adamw
    interpolation = "train_interp_coeff"
