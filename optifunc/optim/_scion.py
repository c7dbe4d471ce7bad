"""Scion."""

from __future__ import annotations

from ..optimizers._scion import scion
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class Scion(Optimizer):
    """Steps to the boundary of a norm ball; `optifunc.scion`.

    It loads the ``state_dict`` of the authors' class; for that, pass ``output_axis=0``,
    torch's layout.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `scion`.
    """

    factory = scion
    layout = TorchLayout("momentum_buffer")
    unsaved = frozenset(
        {"ns_coefficients", "eps", "ns_steps", "ns_dtype", "output_axis", "maximize"}
    )
    no_complex = "{name} does not support complex parameters"
