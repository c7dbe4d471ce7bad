"""Piecewise values: constant, or with a curve in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
from jax import Array

from .._checks import check_choice
from .._dataclass import static
from .._numerics import Scalar, as_scalar, is_number
from ._arguments import (
    Count,
    as_counts,
    as_members,
    check_milestones,
    check_number,
)
from ._base import MultiplicativeSchedule, schedule
from ._curves import between

Interpolation: TypeAlias = Literal["linear", "cosine"]


def _check_pieces(pieces: piecewise_constant | piecewise_interpolated) -> None:
    """Check the fields that both have, and convert sequences to tuples."""
    check_number("base", pieces.base)
    boundaries = as_members("boundaries", pieces.boundaries)
    scales = as_members("scales", pieces.scales)
    check_milestones("boundaries", boundaries, increasing=True)
    if len(boundaries) != len(scales):
        raise ValueError(
            "boundaries and scales must have the same length, "
            f"found {len(boundaries)} and {len(scales)}"
        )
    if isinstance(scales, tuple):
        for i, value in enumerate(scales):
            check_number(f"scales[{i}]", value, at_least=0)
    object.__setattr__(pieces, "boundaries", boundaries)
    object.__setattr__(pieces, "scales", scales)


def _levels(scales: Any) -> Array:
    """The products of the first 0, 1, ... of ``scales``."""
    one = jnp.ones((1,), jnp.result_type(float))
    if not hasattr(scales, "dtype"):
        return jnp.cumprod(jnp.stack([one[0], *map(as_scalar, scales)]))
    return jnp.cumprod(jnp.concatenate([one, as_scalar(scales)]))


@schedule
class piecewise_constant(MultiplicativeSchedule):
    """Multiplied by a number at each boundary, constant in between.

    ::

        value(t) = base * product of scales[i] over all i with boundaries[i] <= t

    **Arguments:**

    - ``base``: the value at the start.
    - ``boundaries``: increasing integers, a sequence or an integer array.
    - ``scales``: as many numbers, each relative to the previous value.

    **Raises:** `ValueError` if boundaries and scales differ in length, if boundaries do
    not increase, or if one of either is negative; `TypeError` if a boundary is not an
    integer.
    """

    base: Scalar
    boundaries: Sequence[Count] | Array
    scales: Sequence[Scalar] | Array

    def __post_init__(self) -> None:
        _check_pieces(self)

    def multiplier(self, step: Array) -> Array:
        return _levels(self.scales)[jnp.sum(as_counts(self.boundaries) <= step)]


@schedule
class piecewise_interpolated(MultiplicativeSchedule):
    """Along a curve from each boundary to the next, and constant after the last.

    The value is ``base`` at 0 and ``base * scales[0] * ... * scales[i]`` at
    ``boundaries[i]``; in between, it follows a line or half a cosine wave.

    **Arguments:**

    - ``base``: the value at the start.
    - ``boundaries``: strictly increasing integers, a sequence or an integer array.
    - ``scales``: as many numbers, each relative to the value at the previous boundary.
    - ``interpolation``: ``"linear"`` or ``"cosine"``.

    **Raises:** see `piecewise_constant`; also `ValueError` for an unknown
    ``interpolation`` and for a repeated boundary.
    """

    base: Scalar
    boundaries: Sequence[Count] | Array
    scales: Sequence[Scalar] | Array
    interpolation: Interpolation = static(default="linear")

    def __post_init__(self) -> None:
        _check_pieces(self)
        check_choice("interpolation", self.interpolation, ("linear", "cosine"))
        if isinstance(self.boundaries, tuple):
            known = [value for value in self.boundaries if is_number(value)]
            if len(set(known)) < len(known):
                raise ValueError(
                    f"boundaries must differ from each other, found {self.boundaries}"
                )

    def multiplier(self, step: Array) -> Array:
        levels, ends = _levels(self.scales), as_counts(self.boundaries)
        starts = jnp.concatenate([jnp.zeros_like(ends, shape=(1,)), ends])
        piece = jnp.sum(ends <= step)
        last = ends.shape[0]
        # After the last boundary: 0 steps from its level to the same level.
        upper = jnp.minimum(piece + 1, last)
        left = jnp.where(piece < last, starts[upper] - step, 0)
        done = jnp.where(piece < last, step - starts[piece], 0)
        return between(levels[piece], levels[upper], done, left, self.interpolation)
