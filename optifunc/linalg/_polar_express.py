"""Polar Express: the best quintic for each iteration on the remaining interval."""

from __future__ import annotations

import math

import numpy as np

from .._checks import check_integer, check_range

Triple = tuple[float, float, float]

# From here on the Newton-Schulz quintic is as good as the best one.
_NEARLY_ONE = 1 - 5e-6


def polar_express_coefficients(
    steps: int = 5,
    *,
    lower: float = 1e-3,
    safety: float = 0.02,
    cushion: float = 0.02,
) -> tuple[Triple, ...]:
    """Coefficients of the Polar Express, for `orthogonalize` and `muon`.

    Each iteration uses the odd quintic that is closest to 1 on the interval ``[l, u]``
    of possible singular values, which it maps to a narrower one around 1. All singular
    values of at least ``lower`` times the largest end near 1::

        of.muon(0.02, ns_coefficients=of.linalg.polar_express_coefficients())

    The numbers are computed in float64, for any number of iterations. The defaults give
    those of microsoft/dion and modded-nanogpt for five.

    **Arguments:**

    - ``steps``: the number of iterations, at least 1.
    - ``lower``: the smallest singular value to support, for matrices with norm 1.
    - ``safety``: how far rounding might raise the largest one above 1. Every polynomial
      except the last is evaluated at ``x / (1 + safety)``. For the first one, this is
      done twice, which represents the division of the norm in the reference.
    - ``cushion``: a lower end of the interval, relative to its upper end, that prevents
      a polynomial from being very steep at 0. The result is then scaled to be centered
      around 1 on the whole interval.

    **Returns:** a triple ``(a, b, c)`` for each iteration.

    **Raises:** `ValueError` for a number out of range, `TypeError` if ``steps`` is not
    an integer.

    **Source:** Amsel et al., "The Polar Express: Optimal Matrix Sign Methods and Their
    Application to the Muon Algorithm", 2025,
    [arXiv:2505.16932](https://arxiv.org/abs/2505.16932).
    """
    check_integer("steps", steps, at_least=1)
    check_range("lower", lower, above=0, below=1)
    check_range("safety", safety, at_least=0)
    check_range("cushion", cushion, above=0, below=1)
    low, high = lower, 1.0
    found = []
    for step in range(steps):
        triple = _best_quintic(max(low, cushion * high), high)
        if low < cushion * high:
            middle = (_value(triple, low) + _value(triple, high)) / 2
            a, b, c = triple
            triple = a / middle, b / middle, c / middle
        if step < steps - 1:
            triple = _of_smaller(triple, 1 + safety)
        low = _value(triple, low)
        high = 2 - low
        found.append(triple)
    return (_of_smaller(found[0], 1 + safety), *found[1:])


def _value(triple: Triple, x: float) -> float:
    a, b, c = triple
    return a * x + b * x**3 + c * x**5


def _of_smaller(triple: Triple, divisor: float) -> Triple:
    """The coefficients of ``p(x / divisor)``."""
    a, b, c = triple
    return a / divisor, b / divisor**3, c / divisor**5


def _best_quintic(low: float, high: float) -> Triple:
    """The odd quintic with the smallest maximum error from 1, by Remez exchange."""
    if low / high >= _NEARLY_ONE:
        return _of_smaller((15 / 8, -10 / 8, 3 / 8), high)
    inner = (3 * low + high) / 4, (low + 3 * high) / 4
    error = math.inf
    while True:
        points = np.array([low, *inner, high])
        signs = np.array([1.0, -1.0, 1.0, -1.0])
        system = np.stack([points, points**3, points**5, signs], 1)
        a, b, c, new_error = np.linalg.solve(system, np.ones(4)).tolist()
        if abs(error - new_error) <= 1e-15:
            return a, b, c
        error = new_error
        # Where the slope is 0, a quadratic equation in the square.
        root = math.sqrt(9 * b * b - 20 * a * c)
        inner = (
            math.sqrt((-3 * b - root) / (10 * c)),
            math.sqrt((-3 * b + root) / (10 * c)),
        )
