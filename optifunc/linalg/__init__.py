"""Linear algebra for matrix optimizers and for a function's second derivatives."""

import typing as _typing

from .._public import offered as _offered

if _typing.TYPE_CHECKING:
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
else:
    __all__, __dir__, __getattr__ = _offered(__name__)
