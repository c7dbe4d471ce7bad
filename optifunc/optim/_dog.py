"""Distance over gradients."""

from __future__ import annotations

from ..optimizers._dog import dog
from ..optimizers._dowg import dowg
from ._optimizer import Optimizer


class DoG(Optimizer):
    """The authors' class of the same name: `optifunc.dog`, stateful.

    Each group has its own distance. With ``layerwise=True`` it is their `LDoG`.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `dog`.
    """

    factory = dog


class DoWG(Optimizer):
    """`optifunc.dowg`, stateful.

    Each group has its own distance.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `dowg`.
    """

    factory = dowg
