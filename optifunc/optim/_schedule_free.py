"""SGD, AdamW and RAdam without a schedule."""

from __future__ import annotations

from ..optimizers._schedule_free import schedule_free_adamw, schedule_free_sgd
from ..optimizers._schedule_free_radam import schedule_free_radam
from ._evaluating import Evaluating
from ._layouts import GroupLayout


def _layout(*fields: str) -> GroupLayout:
    """schedulefree's layout."""
    return GroupLayout(
        *fields,
        in_groups={"step": "k", "weight_sum": "weight_sum", "lr_max": "lr_max"},
        unused={"foreach": False, "scheduled_lr": 0.0},
    )


class SGDScheduleFree(Evaluating):
    """schedulefree's class of the same name: `optifunc.schedule_free_sgd`, stateful.

    ``optimizer.eval()`` switches `params` to the averages, which you evaluate and save,
    and ``optimizer.train()`` switches back. Unlike schedulefree's, it starts in
    training mode.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `schedule_free_sgd`.
    """

    factory = schedule_free_sgd
    interpolation = "momentum"
    layout = _layout("z")


class AdamWScheduleFree(Evaluating):
    """schedulefree's class of the same name: `optifunc.schedule_free_adamw`, stateful.

    `eval` and `train` are as in `SGDScheduleFree`.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `schedule_free_adamw`.
    """

    factory = schedule_free_adamw
    interpolation = "betas"
    layout = _layout("z", "exp_avg_sq")


class RAdamScheduleFree(Evaluating):
    """schedulefree's class of the same name: `optifunc.schedule_free_radam`, stateful.

    `eval` and `train` are as in `SGDScheduleFree`.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `schedule_free_radam`.
    """

    factory = schedule_free_radam
    interpolation = "betas"
    layout = _layout("z", "exp_avg_sq")
