"""NorMuon."""

from __future__ import annotations

from ..optimizers._normuon import normuon
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class NorMuon(Optimizer):
    """Muon with equally large steps for each neuron; `optifunc.normuon`.

    It loads the ``state_dict`` of the authors' class; for that, pass ``output_axis=0``,
    torch's layout.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `normuon`.
    """

    factory = normuon
    layout = TorchLayout("momentum_buffer", "second_momentum_buffer")
    unsaved = frozenset(
        {
            "nesterov",
            "ns_coefficients",
            "eps",
            "ns_steps",
            "ns_dtype",
            "output_axis",
            "batch_axes",
            "mask",
            "maximize",
        }
    )
    no_complex = "{name} does not support complex parameters"
