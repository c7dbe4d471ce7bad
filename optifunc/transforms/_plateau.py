"""Smaller updates where the loss no longer falls."""

import dataclasses
import math
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._checks import check_choice, check_range
from .._dataclass import static
from .._hyperparameters import Value
from .._numerics import as_scalar, increment
from .._state import Shared
from .._transformation import GradientTransformation, State, transformation
from .._tree import PyTree
from ..schedules._arguments import Count, as_count, check_count, check_number
from ._scaling import scale


class ReduceOnPlateauState(NamedTuple):
    """State of `reduce_on_plateau`."""

    lr: Shared  # float [], the learning rate in force
    best: Shared  # float [], the best loss so far
    num_bad_epochs: Shared  # int32 [], plateau steps since then
    cooldown_counter: Shared  # int32 [], plateau steps left of the cooldown
    total: Shared  # float [], sum of the losses of the plateau step under way
    losses: Shared  # int32 [], their number


@transformation
class reduce_on_plateau(GradientTransformation):
    """Reduce the learning rate when the loss has stopped falling.

    It is `torch.optim.lr_scheduler.ReduceLROnPlateau`, which stands after an optimizer
    of learning rate ``lr`` and reads the loss from the extra argument ``value``::

        tx = of.chain(of.sgd(lr=0.1), of.reduce_on_plateau(lr=0.1, min_lr=1e-4))
        updates, state = tx.update(grads, state, params, value=loss)

        u = g * current_lr / lr

    After every ``every`` updates the mean of their losses makes one plateau step, in
    torch's order of tests: it is better than the best so far, or one more bad one; in
    the cooldown no bad one counts; after more than ``patience`` bad ones
    ``current_lr = max(current_lr * factor, min_lr)``, unless that is less than ``eps``
    smaller, and a cooldown begins. As in a PyTorch loop, which steps the optimizer
    first, the learning rate so found holds from the next update on. NaN is never
    better.

    **Arguments:** ``lr``: the learning rate at the start; ``mode``: ``"min"`` for a
    loss, ``"max"`` for a score; ``factor``: in [0, 1); ``patience``, ``cooldown``:
    plateau steps; ``threshold``: what is better must be so by this much, in parts of
    the best with ``threshold_mode="rel"`` (of its signed value, as in torch: with a
    negative best loss a slightly worse one passes for better) and absolutely with
    ``"abs"``; ``min_lr``, ``eps``: see above; ``every``: updates to one plateau step.

    **Raises:** `ValueError` for an argument out of range, `TypeError` for a count that
    is no integer and for a schedule as ``lr``; at `update` `TypeError` if ``value`` is
    missing and `ValueError` if it is no scalar.
    """

    lr: Value = 1.0
    mode: Literal["min", "max"] = static(default="min")
    factor: Value = 0.1
    patience: Count = 10
    threshold: Value = 1e-4
    threshold_mode: Literal["rel", "abs"] = static(default="rel")
    cooldown: Count = 0
    min_lr: Value = 0.0
    eps: Value = 1e-8
    _: dataclasses.KW_ONLY
    every: Count = 1

    def __post_init__(self) -> None:
        check_number("lr", self.lr, above=0)
        check_choice("mode", self.mode, ("min", "max"))
        check_range("factor", self.factor, at_least=0, below=1)
        check_count("patience", self.patience, at_least=0)
        check_range("threshold", self.threshold)
        check_choice("threshold_mode", self.threshold_mode, ("rel", "abs"))
        check_count("cooldown", self.cooldown, at_least=0)
        check_range("min_lr", self.min_lr, at_least=0)
        check_range("eps", self.eps, at_least=0)
        check_count("every", self.every, at_least=1)

    def init(self, params: PyTree) -> ReduceOnPlateauState:
        # A copy: the state may be donated, the transformation stays.
        lr = jnp.array(as_scalar(self.lr), copy=True)
        worst = math.inf if self.mode == "min" else -math.inf
        return ReduceOnPlateauState(
            lr=lr,
            best=jnp.full_like(lr, worst),
            num_bad_epochs=jnp.zeros((), jnp.int32),
            cooldown_counter=jnp.zeros((), jnp.int32),
            total=jnp.zeros_like(lr),
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
    ) -> tuple[PyTree, State]:
        if np.shape(value) != ():
            raise ValueError(
                "value must be a scalar, the loss of this update, found an array of "
                f"shape {np.shape(value)}"
            )
        updates, _ = scale(state.lr / as_scalar(self.lr)).update(updates, ())
        state = state._replace(
            total=state.total + as_scalar(value), losses=increment(state.losses)
        )
        after = self.plateau_step(state, state.total / as_scalar(state.losses))
        is_due = as_count(state.losses) >= as_count(self.every)
        return updates, jax.tree.map(partial(jnp.where, is_due), after, state)

    def plateau_step(
        self, state: ReduceOnPlateauState, value: Array
    ) -> ReduceOnPlateauState:
        """The state after a plateau step with the mean loss ``value``."""
        is_better = self._is_better(value, state.best)
        best = jnp.where(is_better, value, state.best)
        bad = jnp.where(is_better, 0, increment(state.num_bad_epochs))
        cools = state.cooldown_counter > 0
        cooldown = jnp.where(cools, state.cooldown_counter - 1, 0)
        bad = jnp.where(cools, 0, bad)

        is_plateau = as_count(bad) > as_count(self.patience)
        smaller = jnp.maximum(state.lr * as_scalar(self.factor), as_scalar(self.min_lr))
        is_reduced = is_plateau & (state.lr - smaller > as_scalar(self.eps))
        return ReduceOnPlateauState(
            lr=jnp.where(is_reduced, smaller, state.lr),
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
