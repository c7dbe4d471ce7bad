"""Cyclical values (Smith, 2017)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
from jax import Array

from .._checks import check_choice
from .._dataclass import static
from .._numerics import Scalar, as_scalar
from ._arguments import Count, as_count, check_count, check_number
from ._base import Schedule, as_step, schedule
from ._curves import fractions, geometric

Mode: TypeAlias = Literal["triangular", "triangular2", "exp_range"]


@schedule
class cyclic(Schedule):
    """Up and down between two bounds: `torch.optim.lr_scheduler.CyclicLR`.

    ::

        height = t' / step_size_up                       on the way up
               = (size - t') / step_size_down            on the way down
        value(t) = base_lr + (max_lr - base_lr) * height * scale
        scale = 1                                        "triangular"
              = 2**-(t // size)                          "triangular2"
              = gamma**t                                 "exp_range"
              = scale_fn(1 + t // size) or scale_fn(t)   for scale_mode "cycle" or not

    with ``size = step_size_up + step_size_down`` and ``t' = t % size``. The momentum
    that torch cycles against the learning rate is the same schedule with the bounds
    swapped::

        tx = of.sgd(
            lr=of.schedules.cyclic(1e-3, 0.1, step_size_up=500),
            momentum=of.schedules.cyclic(0.9, 0.8, step_size_up=500),
        )

    **Arguments:**

    - ``base_lr``: the value at the start of each cycle.
    - ``max_lr``: the value at its top.
    - ``step_size_up``: the number of updates on the way up, an integer.
    - ``step_size_down``: the number on the way down (``None``: the same; 0: the value
      drops immediately).
    - ``mode``: ``"triangular"``, ``"triangular2"`` or ``"exp_range"``, as above;
      ignored if there is a ``scale_fn``.
    - ``gamma``: the base of the power in ``"exp_range"``, at least 0.
    - ``scale_fn``: a function of the cycle's number (from 1) or of the step, which it
      receives as an integer scalar that may be traced; used instead of ``mode``.
    - ``scale_mode``: whether ``scale_fn`` is a function of the ``"cycle"`` or the step
      (``"iterations"``).

    **Raises:** `ValueError` for an unknown mode, a ``step_size_up`` below 1, a negative
    ``step_size_down`` or a negative ``gamma``; `TypeError` for a step size that is not
    an integer.

    **Source:** Smith (2017), "Cyclical learning rates for training neural networks",
    arXiv:1506.01186.
    """

    base_lr: Scalar
    max_lr: Scalar
    step_size_up: Count = 2000
    step_size_down: Count | None = None
    mode: Mode = static(default="triangular")
    gamma: Scalar = 1.0
    scale_fn: Callable[[Array], Any] | None = static(default=None)
    scale_mode: Literal["cycle", "iterations"] = static(default="cycle")

    def __post_init__(self) -> None:
        check_number("base_lr", self.base_lr)
        check_number("max_lr", self.max_lr)
        check_count("step_size_up", self.step_size_up, at_least=1)
        if self.step_size_down is not None:
            check_count("step_size_down", self.step_size_down, at_least=0)
        check_number("gamma", self.gamma, at_least=0)
        if self.scale_fn is None:
            check_choice("mode", self.mode, ("triangular", "triangular2", "exp_range"))
        elif not callable(self.scale_fn):
            raise TypeError(f"scale_fn must be a function, found {self.scale_fn!r}")
        check_choice("scale_mode", self.scale_mode, ("cycle", "iterations"))

    def __call__(self, step: Any) -> Array:
        t = as_step(step)
        up = as_count(self.step_size_up)
        down = up if self.step_size_down is None else as_count(self.step_size_down)
        cycle, place = t // (up + down), t % (up + down)
        rising = fractions(place, up - place)
        falling = fractions(place - up, up + down - place)
        depth = jnp.where(place <= up, rising[0], falling[1])
        height = jnp.where(place <= up, rising[1], falling[0])
        scale = self._scale(t, cycle)
        # 1 - height * scale, exact at the top where the scale is 1
        rest = depth + height * (1 - scale)
        return as_scalar(self.base_lr) * rest + as_scalar(self.max_lr) * height * scale

    def _scale(self, t: Array, cycle: Array) -> Array:
        if self.scale_fn is not None:
            place = cycle + 1 if self.scale_mode == "cycle" else t
            return as_scalar(self.scale_fn(place))
        if self.mode == "exp_range":
            return geometric(self.gamma, t)
        one = jnp.ones((), jnp.result_type(float))
        return jnp.ldexp(one, -cycle) if self.mode == "triangular2" else one
