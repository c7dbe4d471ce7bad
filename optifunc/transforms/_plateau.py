"""Smaller updates when the loss no longer falls."""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_choice, check_known_range, check_loss, check_whole
from .._dataclass import static
from .._hyperparameters import Value
from .._numerics import as_scalar, increment
from .._state import Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..schedules._arguments import as_count
from ._scaling import _scaled


class ReduceOnPlateauState(NamedTuple):
    """State of `reduce_on_plateau`.

    **Fields:**

    - ``scale``: float [], the factor of the next updates.
    - ``best``: float [], the best loss so far.
    - ``num_bad_epochs``: int32 [], plateau steps since then.
    - ``cooldown_counter``: int32 [], plateau steps left of the cooldown.
    - ``total``: float [], the sum of the losses of the current plateau step.
    - ``losses``: int32 [], their number.
    """

    scale: Shared
    best: Shared
    num_bad_epochs: Shared
    cooldown_counter: Shared
    total: Shared
    losses: Shared


@transformation
class reduce_on_plateau(GradientTransformation):
    """Reduce the updates when the loss has stopped falling: ``u = scale * g``.

    After an optimizer, it is `torch.optim.lr_scheduler.ReduceLROnPlateau`: the
    effective learning rate is ``scale`` times the optimizer's own. ``scale`` starts
    at 1. The loss is read from the extra argument ``value``::

        tx = of.chain(of.sgd(lr=0.1), of.reduce_on_plateau(min_scale=1e-3))
        updates, state = tx.update(grads, state, params, value=loss)

    After every ``every`` updates, the mean of their losses makes one plateau step, with
    torch's order of tests. The mean is either better than the best so far or counts as
    bad, except during the cooldown. After more than ``patience`` bad ones, ``scale =
    max(scale * factor, min_scale)``, unless the change is less than ``eps``, and a
    cooldown begins. As in a PyTorch loop, which steps the optimizer first, the new
    scale applies from the next update on. NaN is never better.

    **Arguments:**

    - ``mode``: ``"min"`` for a loss, ``"max"`` for a score.
    - ``factor``: the factor of the scale, in [0, 1).
    - ``patience``: the number of bad plateau steps to tolerate.
    - ``threshold``: the minimal improvement that counts.
    - ``threshold_mode``: whether the threshold is absolute, ``"abs"``, or relative to
      the best loss, ``"rel"`` (to its signed value, as in torch: with a negative best
      loss, a slightly worse one counts as better).
    - ``cooldown``: the number of plateau steps after a reduction that do not count as
      bad.
    - ``min_scale``: the smallest scale, in [0, 1]; torch's ``min_lr`` divided by the
      learning rate.
    - ``eps``: the smallest reduction of the scale; torch's ``eps`` divided by the
      learning rate.
    - ``every``: the number of updates per plateau step.

    **State:** `ReduceOnPlateauState`.

    **Raises:** `ValueError` for an argument out of range, `TypeError` for a count that
    is not an integer; at `update`, `TypeError` if ``value`` is missing and `ValueError`
    if it is not a scalar.
    """

    mode: Literal["min", "max"] = static(default="min")
    factor: Value = 0.1
    patience: Value = 10
    threshold: Value = 1e-4
    threshold_mode: Literal["rel", "abs"] = static(default="rel")
    cooldown: Value = 0
    min_scale: Value = 0.0
    eps: Value = 1e-8
    _: dataclasses.KW_ONLY
    every: Value = 1

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, ("min", "max"))
        check_known_range("factor", self.factor, at_least=0, below=1)
        check_whole("patience", self.patience, at_least=0)
        check_known_range("threshold", self.threshold)
        check_choice("threshold_mode", self.threshold_mode, ("rel", "abs"))
        check_whole("cooldown", self.cooldown, at_least=0)
        check_known_range("min_scale", self.min_scale, at_least=0, at_most=1)
        check_known_range("eps", self.eps, at_least=0)
        check_whole("every", self.every, at_least=1)

    def init(self, params: PyTree) -> ReduceOnPlateauState:
        scale = as_scalar(1)
        worst = math.inf if self.mode == "min" else -math.inf
        return ReduceOnPlateauState(
            scale=scale,
            best=jnp.full_like(scale, worst),
            num_bad_epochs=jnp.zeros((), jnp.int32),
            cooldown_counter=jnp.zeros((), jnp.int32),
            total=jnp.zeros_like(scale),
            losses=jnp.zeros((), jnp.int32),
        )

    def update(  # type: ignore[override]  # what it needs is required
        self,
        updates: PyTree,
        state: ReduceOnPlateauState,
        params: PyTree | None = None,
        *,
        value: Any,
        **extra: Any,
    ) -> tuple[PyTree, ReduceOnPlateauState]:
        check_loss(value)
        updates = _scaled(updates, factor=state.scale)
        state = state._replace(
            total=state.total + as_scalar(value), losses=increment(state.losses)
        )
        after = self.plateau_step(state, state.total / as_scalar(state.losses))
        is_due = as_count(state.losses) >= as_count(self.every)
        return updates, jax.tree.map(partial(jnp.where, is_due), after, state)

    def plateau_step(
        self, state: ReduceOnPlateauState, value: Array
    ) -> ReduceOnPlateauState:
        """The state after a plateau step.

        **Arguments:**

        - ``state``: the state before it.
        - ``value``: the mean loss.

        **Returns:** the state with a new scale, if it is due.
        """
        is_better = self._is_better(value, state.best)
        best = jnp.where(is_better, value, state.best)
        bad = jnp.where(is_better, 0, increment(state.num_bad_epochs))
        cools = state.cooldown_counter > 0
        cooldown = jnp.where(cools, state.cooldown_counter - 1, 0)
        bad = jnp.where(cools, 0, bad)

        is_plateau = as_count(bad) > as_count(self.patience)
        smaller = state.scale * as_scalar(self.factor)
        smaller = jnp.maximum(smaller, as_scalar(self.min_scale))
        is_reduced = is_plateau & (state.scale - smaller > as_scalar(self.eps))
        return ReduceOnPlateauState(
            scale=jnp.where(is_reduced, smaller, state.scale),
            best=best,
            num_bad_epochs=jnp.where(is_plateau, 0, bad),
            cooldown_counter=jnp.where(
                is_plateau, as_count(self.cooldown).astype(jnp.int32), cooldown
            ),
            total=jnp.zeros_like(state.total),
            losses=jnp.zeros_like(state.losses),
        )

    def _is_better(self, value: Array, best: Array) -> Array:
        sign = 1 if self.mode == "max" else -1
        margin = sign * self.threshold
        if self.threshold_mode == "rel":
            bound = best * as_scalar(1 + margin)
        else:
            bound = best + as_scalar(margin)
        return value > bound if self.mode == "max" else value < bound
