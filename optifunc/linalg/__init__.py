"""Linear algebra of matrix optimizers: functions of arrays, without state."""

from ._newton_schulz import orthogonalize as orthogonalize
from ._polar_express import polar_express_coefficients as polar_express_coefficients
