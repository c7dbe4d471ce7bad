"""Schedulers: learning rates in the ``param_groups`` of an optimizer, epoch by epoch.

The schedulers of `torch.optim.lr_scheduler`, with its names, arguments and checkpoints.
Their counterparts in the functional API are in `optifunc.schedules`, in files of the
same names.
"""

import typing as _typing

from ..._public import offered as _offered

if _typing.TYPE_CHECKING:
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
else:
    __all__, __dir__, __getattr__ = _offered(__name__)
