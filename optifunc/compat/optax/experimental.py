"""optax.experimental: optax's own."""

from __future__ import annotations

from typing import TYPE_CHECKING as _TYPE_CHECKING

from ._own import names_of as _names_of

if not _TYPE_CHECKING:
    __getattr__ = _names_of("experimental")
