"""Several schedulers on one optimizer: one after another, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from ._base import LRScheduler
from ._groups import current_lrs, get_number, set_number
from ._plateau import ReduceLROnPlateau


class _Composite(LRScheduler):
    _schedulers: Sequence[LRScheduler]

    def _check_members(self, optimizer: Any, schedulers: Any) -> None:
        name = type(self).__name__
        if len(schedulers) < 1:
            raise ValueError(
                f"{name} expects at least one scheduler, but got no scheduler."
            )
        for i, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(
                    f"{name} at index {i} should have `optimizer` as its attribute, "
                    f"found {scheduler!r}"
                )
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    f"{name} does not support `ReduceLROnPlateau` scheduler, whose "
                    f"step needs the metric, but got one at index {i}"
                )
            if optimizer is None:
                optimizer = scheduler.optimizer
            if scheduler.optimizer is not optimizer:
                raise ValueError(
                    f"{name} expects all schedulers to belong to the same optimizer, "
                    f"but got scheduler {type(scheduler).__name__} at index {i} of "
                    "another one"
                )

    def _update_lr(self, epoch: int | None = None) -> None:
        # As in torch, which does not support this either.
        raise NotImplementedError(
            f"{type(self).__name__} cannot begin at a milestone of a SequentialLR: "
            "only its first scheduler can be composed of others"
        )

    def _members(self) -> Sequence[LRScheduler]:
        direct = self._schedulers
        return [*direct, *(inner for each in direct for inner in each._members())]

    def state_dict(self) -> dict[str, Any]:
        members = [scheduler.state_dict() for scheduler in self._schedulers]
        return super().state_dict() | {"_schedulers": members}

    def _check_state(self, state_dict: Any) -> None:
        super()._check_state(state_dict)
        states = state_dict.get("_schedulers", ())
        if len(states) != len(self._schedulers):
            raise ValueError(
                f"state_dict has {len(states)} schedulers, expected "
                f"{len(self._schedulers)}"
            )
        for scheduler, state in zip(self._schedulers, states, strict=True):
            scheduler._check_state(state)

    def _load(self, state_dict: Mapping[str, Any]) -> None:
        states = state_dict["_schedulers"]
        for scheduler, state in zip(self._schedulers, states, strict=True):
            scheduler._load(state)
        super()._load({**state_dict, "_schedulers": self._schedulers})


class SequentialLR(_Composite):
    """One scheduler after another: scheduler ``i`` from milestone ``i - 1`` on.

    Each starts over at its milestone, from the initial learning rate.

    **Arguments:**

    - ``optimizer``: the optimizer whose learning rates are set.
    - ``schedulers``: schedulers of ``optimizer``.
    - ``milestones``: increasing epochs, one fewer than schedulers.
    - ``last_epoch``: the epoch to resume after, or -1.

    **Raises:** `ValueError` if there are no schedulers or the number of milestones is
    wrong, for schedulers of another optimizer and for a `ReduceLROnPlateau`;
    `TypeError` for anything but a scheduler.
    """

    def __init__(
        self,
        optimizer: Any,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        self._check_members(optimizer, schedulers)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Sequential Schedulers expects number of schedulers provided to be one "
                f"more than the number of milestone points, but got {len(schedulers)} "
                f"schedulers and {len(milestones)} milestones"
            )
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            set_number(group, "lr", get_number(group, "initial_lr"))
        for scheduler in schedulers:
            _undo_step(scheduler)
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:  # type: ignore[override]  # torch's: it takes no epoch
        """Go to the next epoch: call it after the optimizer's `step`."""
        with self._undone_on_error():
            self.last_epoch += 1
            index = bisect_right(self._milestones, self.last_epoch)
            scheduler = self._schedulers[index]
            if index > 0 and self._milestones[index - 1] == self.last_epoch:
                scheduler._update_lr(0)
            else:
                scheduler.step()
            self._last_lr = scheduler.get_last_lr()


def _undo_step(scheduler: Any) -> None:
    """Undo the epoch that a scheduler's constructor has counted."""
    if isinstance(scheduler, _Composite):
        for member in scheduler._schedulers:
            _undo_step(member)
    else:
        scheduler.last_epoch -= 1


class ChainedScheduler(_Composite):
    """Several schedulers at once: `step` calls each of them in order.

    **Arguments:**

    - ``schedulers``: schedulers that multiply the learning rate. One that sets it
      regardless of the others cancels the effect of those before it.
    - ``optimizer``: the optimizer that all belong to (``None``: that of the first).

    **Raises:** `ValueError` if there are no schedulers, for schedulers of different
    optimizers and for a `ReduceLROnPlateau`; `TypeError` for anything but a scheduler.
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Any = None
    ) -> None:
        self._check_members(optimizer, schedulers)
        self._schedulers = schedulers
        self.optimizer = schedulers[0].optimizer
        self._last_lr = current_lrs(self.optimizer)

    def step(self) -> None:  # type: ignore[override]  # torch's: it takes no epoch
        """Go to the next epoch: call it after the optimizer's `step`."""
        with self._undone_on_error():
            for scheduler in self._schedulers:
                scheduler.step()
            self._last_lr = current_lrs(self.optimizer)
