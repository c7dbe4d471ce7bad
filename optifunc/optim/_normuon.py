"""NorMuon."""

from collections.abc import Mapping
from typing import Any

from ..optimizers._normuon import normuon
from ._layouts import TorchLayout
from ._optimizer import Optimizer
from ._packages import with_own_options

OWN_OPTIONS = (
    "nesterov",
    "ns_coefficients",
    "eps",
    "ns_steps",
    "ns_dtype",
    "output_axis",
    "batch_axes",
    "mask",
    "maximize",
)


class NorMuon(Optimizer):
    """Muon with steps of one size for each neuron; `optifunc.normuon`.

    It loads the ``state_dict`` of the authors' class; give ``output_axis=0``, torch's
    layout, for that.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `normuon`.
    """

    factory = normuon
    layout = TorchLayout("momentum_buffer", "second_momentum_buffer")
    no_complex = "{name} does not support complex parameters"

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        completed = with_own_options(state_dict, self.param_groups, OWN_OPTIONS)
        super().load_state_dict(completed)
