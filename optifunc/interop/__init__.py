"""Bridges to other libraries: optax, torch, flax, and safetensors files."""

import typing as _typing

from .._public import offered as _offered

if _typing.TYPE_CHECKING:
    from .._boxes import register_box as register_box
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
else:
    __all__, __dir__, __getattr__ = _offered(__name__)
