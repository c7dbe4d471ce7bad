"""optax.experimental: optax's own."""

from __future__ import annotations

import typing as _typing

from ._own import names_of as _names_of

if not _typing.TYPE_CHECKING:
    __getattr__ = _names_of("experimental")
