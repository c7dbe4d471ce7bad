"""Contenders are compared only if they do the same."""

from collections.abc import Mapping

import numpy as np

TOLERANCE = 1e-5
SHARE = 1e-3


class Disagreement(Exception):
    """Two contenders end at different parameters."""


def largest_difference(
    found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> tuple[float, str]:
    """The largest ``|a - b| / max(1, |b|)`` and the leaf that it is in."""
    differences = (
        (np.max(np.abs(found[name] - b) / np.maximum(1, np.abs(b))).item(), name)
        for name, b in expected.items()
    )
    # NaN compares with nothing, so it counts as the largest difference.
    return max(differences, key=lambda pair: np.nan_to_num(pair[0], nan=np.inf))


def check_agreement(
    name: str,
    found: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    tolerance: float = TOLERANCE,
    start: Mapping[str, np.ndarray] | None = None,
    share: float = SHARE,
) -> None:
    """**Raises:** `Disagreement` unless all parameters are the same to ``tolerance``.

    It is relative to a parameter's size, and absolute below 1. Where ``start`` is given
    each leaf must also have moved the same way from it, to a ``share`` of the length: a
    wrong learning rate does not hide in a short way.
    """
    difference, leaf = largest_difference(found, expected)
    # Not "difference > tolerance", which NaN would pass.
    if not difference <= tolerance:
        raise Disagreement(
            f"{name} ends {difference:.1e} away from the others at {leaf!r}; "
            f"at most {tolerance:.0e} is rounding"
        )
    for leaf, origin in (start or {}).items():
        way = np.linalg.norm(expected[leaf] - origin)
        apart = np.linalg.norm(found[leaf] - expected[leaf])
        if not apart <= share * way:
            raise Disagreement(
                f"{name} is {apart:.1e} away from the others at {leaf!r}, which moved "
                f"{way:.1e}; at most {share:.0e} of it is rounding"
            )
