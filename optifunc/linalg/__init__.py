"""Linear algebra for matrix optimizers and for a function's second derivatives."""

from .._public import exported_names as _exported, listed_names as _listed
from ._curvature import (
    fisher_diag as fisher_diag,
    hessian_diag as hessian_diag,
    hutchinson_diag as hutchinson_diag,
    hutchinson_trace as hutchinson_trace,
    hvp as hvp,
)
from ._newton_schulz import orthogonalize as orthogonalize
from ._polar_express import polar_express_coefficients as polar_express_coefficients
from ._power_iteration import power_iteration as power_iteration
from ._roots import matrix_inverse_pth_root as matrix_inverse_pth_root

__all__ = _exported(globals())


def __dir__() -> list[str]:
    return _listed(globals())
