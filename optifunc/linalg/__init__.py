"""Linear algebra of matrix optimizers: functions of arrays, without state."""

from ._newton_schulz import orthogonalize as orthogonalize
