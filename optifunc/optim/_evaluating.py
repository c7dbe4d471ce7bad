"""Optimizers that evaluate other parameters than those that training holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax

from ..wrappers._schedule_free import extrapolated
from ._groups import Group
from ._optimizer import Optimizer


class Evaluating(Optimizer):
    """Base of classes whose parameters are ``y`` in training and ``x`` in evaluation.

    It starts in training mode. The state holds ``z``; ``y`` is between ``x`` and ``z``.
    """

    # The hyperparameter for how near y is to x, or a tuple that begins with it.
    interpolation: ClassVar[str]

    def _append(self, group: Group) -> None:
        group.setdefault("train_mode", True)
        super()._append(group)

    def train(self) -> None:
        """Switch to training mode: `params` are the points ``y`` of the gradients."""
        self._set_mode(training=True)

    def eval(self) -> None:
        """Switch to evaluation mode: `params` are the averages ``x``."""
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
                share = self._share(group)
                share = 1 / share if training else share
                leaves[i] = extrapolated(leaves[i], z[i], momentum=share)
        self._put(structure.unflatten(leaves))
        for group in self.param_groups:
            group["train_mode"] = training

    def _share(self, group: Group) -> Any:
        value = group[self.interpolation]
        return value[0] if isinstance(value, tuple | list) else value

    def _advance(self, present: Sequence[bool], run: Callable[..., Any]) -> Any:
        if not all(group["train_mode"] for group in self.param_groups):
            raise RuntimeError(
                f"{type(self).__name__} is in evaluation mode, where params are "
                "averages that no step may change; call train() before the next step"
            )
        return super()._advance(present, run)
