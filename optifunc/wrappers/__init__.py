"""Transformations that hold others: one file an idea."""

from ._accumulate import (
    AccumulationState as AccumulationState,
    accumulate_gradients as accumulate_gradients,
)
from ._cautious import CautiousState as CautiousState, cautious as cautious
from ._chain import chain as chain
from ._conditionally import (
    ConditionalState as ConditionalState,
    conditionally as conditionally,
)
from ._flatten import FlattenState as FlattenState, flatten as flatten
from ._grams import GramsState as GramsState, grams as grams
from ._masked import (
    EmptyMaskWarning as EmptyMaskWarning,
    MaskedState as MaskedState,
    masked as masked,
)
from ._partition import partition as partition
from ._scheduled import (
    ScheduledState as ScheduledState,
    as_transformation as as_transformation,
    scheduled as scheduled,
)
from ._skip_not_finite import (
    SkipNotFiniteState as SkipNotFiniteState,
    skip_not_finite as skip_not_finite,
)
from ._wrapper import Wrapper as Wrapper
