"""CAME."""

from __future__ import annotations

from ..optimizers._came import came
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class _CameLayout(TorchLayout):
    """The package also keeps counts and norms that its rule does not read."""

    def unknown_fields(self, fields: set[str]) -> set[str]:
        return super().unknown_fields(fields) - {"step", "RMS"}


class CAME(Optimizer):
    """Adafactor with momentum and confidence; `optifunc.came`.

    It loads the ``state_dict`` of the package came-pytorch.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `came`.
    """

    factory = came
    layout = _CameLayout(
        "exp_avg",
        "exp_avg_sq_row",
        "exp_avg_sq_col",
        "exp_avg_res_row",
        "exp_avg_res_col",
        "exp_avg_sq",
    )
    unsaved = frozenset({"mask", "maximize"})
    no_complex = "{name} does not support complex parameters"
