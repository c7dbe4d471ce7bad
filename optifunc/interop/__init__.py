"""Bridges to other libraries."""

from ._optax import to_optax as to_optax
