"""Bridges to other libraries: optax, torch, flax, and safetensors files."""

from .._boxes import register_box as register_box
from .._public import exported_names as _exported, listed_names as _listed
from . import torch as torch
from ._bitsandbytes import (
    from_bitsandbytes as from_bitsandbytes,
    to_bitsandbytes as to_bitsandbytes,
)
from ._optax import to_optax as to_optax
from ._safetensors import (
    load_safetensors as load_safetensors,
    save_safetensors as save_safetensors,
)

__all__ = _exported(globals())


def __dir__() -> list[str]:
    return _listed(globals())
