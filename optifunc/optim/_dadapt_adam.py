"""Adam with D-Adaptation."""

from __future__ import annotations

from ..optimizers._dadapt_adam import dadapt_adam
from ._layouts import GroupLayout
from ._optimizer import Optimizer


class DAdaptAdam(Optimizer):
    """The class of the same name in dadaptation: `optifunc.dadapt_adam`, stateful.

    Each group has its own estimate.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `dadapt_adam`.
    """

    factory = dadapt_adam
    layout = GroupLayout(
        "s",
        "exp_avg",
        "exp_avg_sq",
        in_groups={
            "step": "k",
            "d": "d",
            "numerator_weighted": "numerator_weighted",
        },
        also_by_parameter=("step",),
        unused={"layer_scale": 1.0, "log_every": 0, "fsdp_in_use": False},
    )
