"""From one value to another in a given number of steps."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import jax.numpy as jnp
import numpy as np
from jax import Array

from .._checks import check_choice
from .._dataclass import static
from .._numerics import Scalar, is_number
from ._arguments import Count, as_count, check_count, check_number, concrete
from ._base import Schedule, as_step, schedule
from ._curves import between, fractions, geometric_between, power_between

Way: TypeAlias = Literal["linear", "cosine", "exponential", "power"]


@schedule
class from_to(Schedule):
    """From one value to another in a given number of steps, and constant afterward.

    ::

        p = min(t / steps, 1)
        value(t) = start + (end - start) * p                        "linear"
                 = start + (end - start) * (1 - cos(pi * p)) / 2    "cosine"
                 = start * (end / start)**p                         "exponential"
                 = end + (start - end) * (1 - p)**power             "power"

    It is exactly ``start`` at step 0 and exactly ``end`` from ``steps`` on; with 0
    steps, it is always ``end``. For example, a linear warmup from 0, and a momentum
    that rises from 0.5 to 0.9::

        of.adamw(lr=of.schedules.from_to(0.0, 1e-3, steps=500))
        of.sgd(1e-2, momentum=of.schedules.from_to(0.5, 0.9, steps=10))

    To continue with another schedule, join the two with `sequential`. In `linear`,
    which is torch's, start and end are multiples of a base.

    **Arguments:**

    - ``start``: the value at step 0.
    - ``end``: the value at ``steps`` and afterward.
    - ``steps``: the number of steps between them, an integer.
    - ``curve``: ``"linear"``, ``"cosine"``, ``"exponential"`` or ``"power"``.
    - ``power``: the exponent of ``"power"``, above 0; greater than 1 to change faster
      at first. It must be given for that curve, and only for that one.

    **Raises:** `ValueError` if ``steps`` is negative, ``curve`` is unknown, ``power``
    is out of range, missing or not used, or for ``"exponential"`` if ``start`` or
    ``end`` is 0 or their signs differ; `TypeError` if ``steps`` is not an integer.
    """

    start: Scalar
    end: Scalar
    steps: Count
    curve: Way = static(default="linear")
    power: Scalar | None = None

    def __post_init__(self) -> None:
        check_number("start", self.start)
        check_number("end", self.end)
        check_count("steps", self.steps, at_least=0)
        check_choice("curve", self.curve, get_args(Way))
        if self.curve == "exponential":
            _check_same_sign(self.start, self.end)
        if self.curve == "power" and self.power is None:
            raise ValueError(
                "power must be given with curve='power', such as power=2.0, found None"
            )
        if self.power is not None:
            if self.curve != "power":
                raise ValueError(
                    f"power is only for curve='power', found power={self.power!r} "
                    f"with curve={self.curve!r}"
                )
            check_number("power", self.power, above=0)

    def __call__(self, step: Any) -> Array:
        steps = as_count(self.steps)
        done = jnp.minimum(as_step(step), steps)
        if self.curve == "linear" or self.curve == "cosine":
            # Counted backward: with 0 steps, none is left.
            return between(self.end, self.start, steps - done, done, self.curve)
        to_end, from_start = fractions(steps - done, done)
        if self.curve == "exponential":
            return geometric_between(self.start, self.end, from_start, to_end)
        power: Any = self.power
        return power_between(self.start, self.end, from_start, to_end, power)


def _check_same_sign(start: Any, end: Any) -> None:
    signs = {}
    for name, value in (("start", start), ("end", end)):
        known = value if is_number(value) else concrete(value)
        if known is None:
            continue
        if np.any(np.asarray(known) == 0):
            raise ValueError(
                f"{name} must not be 0 with curve='exponential', found {value!r}: no "
                "factor leads from or to 0; use a small number or another curve"
            )
        signs[name] = np.sign(known)
    if len(signs) == 2 and np.any(signs["start"] != signs["end"]):
        raise ValueError(
            "start and end must have the same sign with curve='exponential', "
            f"found {start!r} and {end!r}; use another curve"
        )
