"""SGD, AdamW and RAdam without a schedule."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from ..optimizers._schedule_free import schedule_free_adamw, schedule_free_sgd
from ..optimizers._schedule_free_radam import schedule_free_radam
from ..wrappers._schedule_free import extrapolated
from ._groups import Group
from ._layouts import GroupLayout
from ._optimizer import Optimizer

# What schedulefree keeps in the groups, by the names of our state.
_IN_GROUPS = {"step": "k", "weight_sum": "weight_sum", "lr_max": "lr_max"}


class _ScheduleFree(Optimizer):
    """Parameters that are ``y`` in training and ``x`` in evaluation."""

    def _append(self, group: Group) -> None:
        group.setdefault("train_mode", True)
        super()._append(group)

    def train(self) -> None:
        """Go back to training: `params` are the points ``y`` of the gradients."""
        self._set_mode(training=True)

    def eval(self) -> None:
        """Turn to evaluation: `params` are the averages ``x``, to test and to save."""
        self._set_mode(training=False)

    def _set_mode(self, *, training: bool) -> None:
        states = self._states()
        z: dict[int, Any] = {}
        for cohort in self._cohorts:
            z |= states.columns(cohort).own.get("z", {})
        structure: Any
        leaves, structure = jax.tree.flatten(self.params)
        for i, number in enumerate(self.group_of()):
            group = self.param_groups[number]
            if group["train_mode"] is not training and i in z:
                momentum = group["betas"][0] if "betas" in group else group["momentum"]
                share = 1 / momentum if training else momentum
                leaves[i] = extrapolated(leaves[i], z[i], momentum=share)
        self._put(structure.unflatten(leaves))
        for group in self.param_groups:
            group["train_mode"] = training

    def _advance(self, present: Sequence[bool], run: Callable[..., Any]) -> Any:
        if not all(group["train_mode"] for group in self.param_groups):
            raise RuntimeError(
                f"{type(self).__name__} is in evaluation, where params are averages "
                "that no step may change; call train() before the next step"
            )
        return super()._advance(present, run)


class SGDScheduleFree(_ScheduleFree):
    """schedulefree's class of that name: `optifunc.schedule_free_sgd`, stateful.

    ``optimizer.eval()`` makes `params` the averages that are to be evaluated and saved,
    and ``optimizer.train()`` goes back. Unlike schedulefree's it begins in training.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `schedule_free_sgd`.
    """

    factory = schedule_free_sgd
    layout = GroupLayout("z", in_groups=_IN_GROUPS)


class AdamWScheduleFree(_ScheduleFree):
    """schedulefree's class of that name: `optifunc.schedule_free_adamw`, stateful.

    `eval` and `train` are as in `SGDScheduleFree`.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `schedule_free_adamw`.
    """

    factory = schedule_free_adamw
    layout = GroupLayout("z", "exp_avg_sq", in_groups=_IN_GROUPS)


class RAdamScheduleFree(_ScheduleFree):
    """schedulefree's class of that name: `optifunc.schedule_free_radam`, stateful.

    `eval` and `train` are as in `SGDScheduleFree`.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `schedule_free_radam`.
    """

    factory = schedule_free_radam
    layout = GroupLayout("z", "exp_avg_sq", in_groups=_IN_GROUPS)
