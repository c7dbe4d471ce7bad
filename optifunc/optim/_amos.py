"""Amos."""

from __future__ import annotations

from ..optimizers._amos import amos
from ._optimizer import Optimizer


class Amos(Optimizer):
    """Steps and decay that slow down automatically; `optifunc.amos`, stateful.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `amos`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = amos
    no_complex = "{name} does not support complex parameters"
