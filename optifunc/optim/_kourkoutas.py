"""Kourkoutas-beta."""

from __future__ import annotations

from ..optimizers._kourkoutas import kourkoutas
from ._optimizer import Optimizer


class Kourkoutas(Optimizer):
    """Adam that forgets faster where gradients jump; `optifunc.kourkoutas`, stateful.

    ``layers`` is a function of ``(path, leaf)``, or None.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `kourkoutas`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = kourkoutas
    no_complex = "{name} does not support complex parameters"
