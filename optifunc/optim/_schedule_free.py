"""SGD, AdamW and RAdam without a schedule."""

from ..optimizers._schedule_free import schedule_free_adamw, schedule_free_sgd
from ..optimizers._schedule_free_radam import schedule_free_radam
from ._evaluating import Evaluating
from ._layouts import GroupLayout

# What schedulefree keeps in the groups, by the names of our state.
_IN_GROUPS = {"step": "k", "weight_sum": "weight_sum", "lr_max": "lr_max"}


class SGDScheduleFree(Evaluating):
    """schedulefree's class of that name: `optifunc.schedule_free_sgd`, stateful.

    ``optimizer.eval()`` makes `params` the averages that are to be evaluated and saved,
    and ``optimizer.train()`` goes back. Unlike schedulefree's it begins in training.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `schedule_free_sgd`.
    """

    factory = schedule_free_sgd
    interpolation = "momentum"
    layout = GroupLayout("z", in_groups=_IN_GROUPS)


class AdamWScheduleFree(Evaluating):
    """schedulefree's class of that name: `optifunc.schedule_free_adamw`, stateful.

    `eval` and `train` are as in `SGDScheduleFree`.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `schedule_free_adamw`.
    """

    factory = schedule_free_adamw
    interpolation = "betas"
    layout = GroupLayout("z", "exp_avg_sq", in_groups=_IN_GROUPS)


class RAdamScheduleFree(Evaluating):
    """schedulefree's class of that name: `optifunc.schedule_free_radam`, stateful.

    `eval` and `train` are as in `SGDScheduleFree`.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `schedule_free_radam`.
    """

    factory = schedule_free_radam
    interpolation = "betas"
    layout = GroupLayout("z", "exp_avg_sq", in_groups=_IN_GROUPS)
