"""Projections: for a tree of parameters, the nearest one in a set.

The whole tree counts as one vector, and a complex number as two real ones.
"""

import typing as _typing

from .._public import offered as _offered

if _typing.TYPE_CHECKING:
    from ._balls import (
        l1_ball as l1_ball,
        l1_sphere as l1_sphere,
        l2_ball as l2_ball,
        l2_sphere as l2_sphere,
        linf_ball as linf_ball,
        linf_sphere as linf_sphere,
    )
    from ._bounds import (
        box as box,
        hypercube as hypercube,
        non_negative as non_negative,
    )
    from ._planes import (
        halfspace as halfspace,
        hyperplane as hyperplane,
        vector as vector,
    )
    from ._simplex import simplex as simplex
else:
    __all__, __dir__, __getattr__ = _offered(__name__)
