"""PyTorch's own optimizer test database, which ships inside the torch wheel."""

from typing import Any

import torch
from torch.testing._internal.common_optimizers import optim_db


def configurations() -> list[tuple[str, dict[str, Any]]]:
    """(torch's class name, keyword arguments), with numbers in place of tensors."""
    return [
        (entry.optim_cls.__name__, {k: _number(v) for k, v in config.kwargs.items()})
        for entry in optim_db
        for config in entry.optim_inputs_func(device="cpu")
    ]


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, torch.Tensor) else value
