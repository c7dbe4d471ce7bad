"""Fused steps."""

from ._fuse import fuse as fuse
