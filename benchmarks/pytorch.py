"""PyTorch, or None where it is not installed: then its contenders are left out."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

torch: Any = import_module("torch") if find_spec("torch") else None
