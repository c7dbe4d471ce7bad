"""Steps that pass over memory once, on CPU."""

from ._apply_gradients import apply_gradients as apply_gradients
from ._fuse import fuse as fuse
