"""Schedulers: learning rates in the ``param_groups`` of an optimizer, epoch by epoch.

The schedulers of `torch.optim.lr_scheduler`, with its names, arguments and checkpoints.
Their counterparts in the functional API are in `optifunc.schedules`, in files of the
same names.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from ..._public import exported_names as _exported, listed_names as _listed
from ..._suggestions import unknown_attribute as _unknown_attribute
from ._base import LRScheduler as LRScheduler
from ._constant import ConstantLR as ConstantLR
from ._cosine import (
    CosineAnnealingLR as CosineAnnealingLR,
    CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts,
)
from ._cyclic import CyclicLR as CyclicLR
from ._decay import (
    ExponentialLR as ExponentialLR,
    LinearLR as LinearLR,
    MultiStepLR as MultiStepLR,
    PolynomialLR as PolynomialLR,
    StepLR as StepLR,
)
from ._function import LambdaLR as LambdaLR, MultiplicativeLR as MultiplicativeLR
from ._joining import (
    ChainedScheduler as ChainedScheduler,
    SequentialLR as SequentialLR,
)
from ._one_cycle import OneCycleLR as OneCycleLR
from ._plateau import ReduceLROnPlateau as ReduceLROnPlateau

__all__ = _exported(globals())


def __dir__() -> list[str]:
    return _listed(globals())


# Type checkers would take it for a sign that any name exists.
if not _TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        raise _unknown_attribute(__name__, name, globals())
