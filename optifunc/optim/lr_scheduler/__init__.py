"""Schedulers: learning rates in the ``param_groups`` of an optimizer, epoch by epoch.

Those of `torch.optim.lr_scheduler`, with its names, arguments and checkpoints. For the
pure face see `optifunc.schedules`.
"""

from ._composite import (
    ChainedScheduler as ChainedScheduler,
    SequentialLR as SequentialLR,
)
from ._cosine import (
    CosineAnnealingLR as CosineAnnealingLR,
    CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts,
)
from ._cyclic import CyclicLR as CyclicLR, OneCycleLR as OneCycleLR
from ._decay import (
    ExponentialLR as ExponentialLR,
    MultiStepLR as MultiStepLR,
    PolynomialLR as PolynomialLR,
    StepLR as StepLR,
)
from ._lambda import LambdaLR as LambdaLR, MultiplicativeLR as MultiplicativeLR
from ._plateau import ReduceLROnPlateau as ReduceLROnPlateau
from ._scheduler import LRScheduler as LRScheduler
from ._warmup import ConstantLR as ConstantLR, LinearLR as LinearLR
