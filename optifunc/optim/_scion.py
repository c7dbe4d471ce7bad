"""Scion."""

from collections.abc import Mapping
from typing import Any

from ..optimizers._scion import scion
from ._layouts import TorchLayout
from ._optimizer import Optimizer
from ._packages import with_own_options

OWN_OPTIONS = (
    "ns_coefficients",
    "eps",
    "ns_steps",
    "ns_dtype",
    "output_axis",
    "maximize",
)


class Scion(Optimizer):
    """Steps to the points of a norm's ball; `optifunc.scion`.

    It loads the ``state_dict`` of the authors' class; give ``output_axis=0``, torch's
    layout, for that.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `scion`.
    """

    factory = scion
    layout = TorchLayout("momentum_buffer")
    no_complex = "{name} does not support complex parameters"

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        completed = with_own_options(state_dict, self.param_groups, OWN_OPTIONS)
        super().load_state_dict(completed)
