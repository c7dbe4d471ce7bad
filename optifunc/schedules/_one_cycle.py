"""The one-cycle policy (Smith and Topin, 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
from jax import Array

from .._checks import check_choice
from .._dataclass import static
from .._numerics import Scalar, as_scalar, is_number
from ._arguments import Count, as_count, check_count, check_flag, check_number
from ._base import Schedule, as_step, schedule
from ._curves import Curve, between

Anneal: TypeAlias = Literal["cos", "linear"]
Timing: TypeAlias = Literal["torch", "optax"]
CURVES: dict[Anneal, Curve] = {"cos": "cosine", "linear": "linear"}


@schedule
class one_cycle(Schedule):
    """Up to a maximum, then down to nearly 0: `torch.optim.lr_scheduler.OneCycleLR`.

    With ``initial = max_lr / div_factor``, ``final = initial / final_div_factor`` and
    ``n = total_steps``::

        initial -> max_lr     until t = pct_start * n - 1
        max_lr -> final       until t = n - 1

    or, with ``three_phase``, ``max_lr -> initial`` until ``t = 2 * pct_start * n - 2``
    and then ``initial -> final``. At ``t = n``, which torch reaches after the last
    update, the last phase is extrapolated as in torch (linearly, to below ``final``).
    Later steps, an error in torch, have the value ``final``. A phase of length 0, for
    which torch divides by 0, is skipped: with ``pct_start * n == 1``, the value at step
    0 is ``max_lr``. For the momentum that torch cycles at the same time, see
    `one_cycle_momentum`.

    With ``timing="optax"``, the phases end at ``int(pct_start * n)`` and at ``n``; with
    ``three_phase``, the middle one ends at ``int(pct_final * n)``. optax's
    ``cosine_onecycle_schedule(n, peak)`` and ``linear_onecycle_schedule(n, peak)``
    are::

        of.schedules.one_cycle(peak, n, timing="optax")
        of.schedules.one_cycle(
            peak, n, anneal_strategy="linear", three_phase=True, timing="optax"
        )

    **Arguments:**

    - ``max_lr``: the largest value.
    - ``total_steps``: the number of steps, an integer (``None``:
      ``epochs * steps_per_epoch``).
    - ``epochs``, ``steps_per_epoch``: the factors of ``total_steps``, used only if that
      is not given.
    - ``pct_start``: the fraction of the steps in which the value rises, in [0, 1].
    - ``anneal_strategy``: ``"cos"`` or ``"linear"``.
    - ``div_factor``: ``max_lr / initial``, a number above 0.
    - ``final_div_factor``: ``initial / final``, a number above 0.
    - ``three_phase``: whether there are three phases instead of two, a bool.
    - ``timing``: where the phases end, as in ``"torch"`` or in ``"optax"``.
    - ``pct_final``: the fraction of the steps after which the last of three phases
      begins, in [0, 1] and at least ``pct_start``; None: 0.85. Only for optax's timing.

    **Raises:** `ValueError` if an argument is out of range or the number of steps is
    not given, `TypeError` if it is not an integer or ``three_phase`` is not a bool.

    **Source:** Smith and Topin (2019), "Super-convergence: very fast training of neural
    networks using large learning rates", arXiv:1708.07120.
    """

    max_lr: Scalar
    total_steps: Count | None = None
    epochs: Count | None = None
    steps_per_epoch: Count | None = None
    pct_start: Scalar = 0.3
    anneal_strategy: Anneal = static(default="cos")
    div_factor: Scalar = 25.0
    final_div_factor: Scalar = 1e4
    three_phase: bool = static(default=False)
    timing: Timing = static(default="torch")
    pct_final: Scalar | None = None

    def __post_init__(self) -> None:
        check_number("max_lr", self.max_lr)
        check_number("div_factor", self.div_factor, above=0)
        check_number("final_div_factor", self.final_div_factor, above=0)
        _check_phases(self)

    def __call__(self, step: Any) -> Array:
        top = as_scalar(self.max_lr)
        initial = top / as_scalar(self.div_factor)
        final = initial / as_scalar(self.final_div_factor)
        middle = (initial,) if self.three_phase else ()
        return _at_phase(self, (initial, top, *middle, final), as_step(step))


@schedule
class one_cycle_momentum(Schedule):
    """The momentum for `one_cycle`: falls as the learning rate rises, and back.

    With the same ``n = total_steps``::

        max_momentum -> base_momentum until t = pct_start * n - 1 base_momentum ->
        max_momentum until t = n - 1, or 2 * pct_start * n - 2 with three_phase, and
        constant afterward

    Use it for any hyperparameter in [0, 1), such as the first of Adam's ``betas``::

        betas=(of.schedules.one_cycle_momentum(0.85, 0.95, total_steps=10_000), 0.999)

    **Arguments:**

    - ``base_momentum``: the smallest value.
    - ``max_momentum``: the largest value.
    - ``total_steps``, ``epochs``, ``steps_per_epoch``, ``pct_start``,
      ``anneal_strategy``, ``three_phase``, ``timing``, ``pct_final``: as in
      `one_cycle`.

    **Raises:** see `one_cycle`.
    """

    base_momentum: Scalar = 0.85
    max_momentum: Scalar = 0.95
    total_steps: Count | None = None
    epochs: Count | None = None
    steps_per_epoch: Count | None = None
    pct_start: Scalar = 0.3
    anneal_strategy: Anneal = static(default="cos")
    three_phase: bool = static(default=False)
    timing: Timing = static(default="torch")
    pct_final: Scalar | None = None

    def __post_init__(self) -> None:
        check_number("base_momentum", self.base_momentum)
        check_number("max_momentum", self.max_momentum)
        _check_phases(self)

    def __call__(self, step: Any) -> Array:
        base, top = as_scalar(self.base_momentum), as_scalar(self.max_momentum)
        middle = (top,) if self.three_phase else ()
        return _at_phase(self, (top, base, *middle, top), as_step(step))


def _check_phases(cycle: one_cycle | one_cycle_momentum) -> None:
    names = (
        ("total_steps",)
        if cycle.total_steps is not None
        else ("epochs", "steps_per_epoch")
    )
    for name in names:
        count = getattr(cycle, name)
        if count is None:
            raise ValueError(
                "the number of steps must be given, as total_steps or as both epochs "
                f"and steps_per_epoch; found total_steps=None and {name}=None"
            )
        check_count(name, count, at_least=1)
    check_number("pct_start", cycle.pct_start, at_least=0, at_most=1)
    check_choice("anneal_strategy", cycle.anneal_strategy, tuple(CURVES))
    check_flag("three_phase", cycle.three_phase)
    check_choice("timing", cycle.timing, ("torch", "optax"))
    if cycle.pct_final is None:
        return
    start = cycle.pct_start if is_number(cycle.pct_start) else 0
    check_number("pct_final", cycle.pct_final, at_least=float(start), at_most=1)
    if cycle.timing != "optax" or not cycle.three_phase:
        raise ValueError(
            "pct_final is only for three_phase=True with timing='optax', found "
            f"pct_final={cycle.pct_final!r}"
        )


def _at_phase(
    cycle: one_cycle | one_cycle_momentum, levels: Sequence[Array], step: Array
) -> Array:
    """The value at ``step`` on the way from each of ``levels`` to the next."""
    total_steps = (
        as_count(cycle.total_steps)
        if cycle.total_steps is not None
        else as_count(cycle.epochs) * as_count(cycle.steps_per_epoch)
    )
    t = as_scalar(step)
    ends = _ends_of_phases(cycle, total_steps)
    starts = (jnp.zeros_like(t), *ends[:-1])
    curve = CURVES[cycle.anneal_strategy]
    # How far rounding may have moved an end; a phase this short has length 0.
    slack = 4 * jnp.finfo(t.dtype).eps * as_scalar(total_steps)
    value = levels[-1]
    for i in reversed(range(len(ends))):
        start, end, goal = starts[i], ends[i], levels[i + 1]
        is_empty = jnp.abs(end - start) <= slack
        phase = between(levels[i], goal, t - start, end - t, curve)
        limit = step <= total_steps if i == len(ends) - 1 else t <= end + slack
        value = jnp.where(limit, jnp.where(is_empty, goal, phase), value)
    return value


def _ends_of_phases(
    cycle: one_cycle | one_cycle_momentum, total_steps: Array
) -> tuple[Array, ...]:
    if cycle.timing == "torch":
        rising = as_scalar(cycle.pct_start) * as_scalar(total_steps)
        middle = (2 * rising - 2,) if cycle.three_phase else ()
        return rising - 1, *middle, as_scalar(total_steps - 1)
    pct_final = 0.85 if cycle.pct_final is None else cycle.pct_final
    parts = (cycle.pct_start, pct_final) if cycle.three_phase else (cycle.pct_start,)
    return *(_part(pct, total_steps) for pct in parts), as_scalar(total_steps)


def _part(fraction: Scalar, count: Array) -> Array:
    """The product, rounded down, unless rounding put it just below an integer."""
    product = as_scalar(fraction) * as_scalar(count)
    return jnp.floor(product + 4 * jnp.finfo(product.dtype).eps * product)
