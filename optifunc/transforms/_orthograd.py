"""Gradients without their part along the parameters."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._numerics import sqrt
from .._transformation import Stateless, require_params, transformation
from .._tree import PyTree


# A complex leaf is a pair of real ones with a common inner product.
@elementwise()
def _orthogonal(updates: Array, params: Array, *, eps: Array) -> Array:
    if updates.size <= 1:
        return updates
    share = jnp.sum(params * updates) / (jnp.sum(params * params) + eps)
    rest = updates - share * params
    size, norm = (sqrt(jnp.sum(x * x)) for x in (updates, rest))
    return rest * (size / (norm + eps))


@transformation
class orthograd(Stateless):
    """Keep the part of each leaf's gradient that is orthogonal to the parameters.

    ::

        o = g - (<p, g> / (<p, p> + eps)) * p
        u = o * norm(g) / (norm(o) + eps)

    A step along the parameters scales a model's outputs and, late in training, lowers
    the loss by nothing else. Put it before an optimizer. A leaf with one number has no
    orthogonal part and keeps its gradient.

    **Arguments:**

    - ``eps``: added to the divisors, at least 0.

    **State:** ``()``.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params`` is
    missing; `TypeError` for a sparse leaf.

    **Source:** Prieto, Barsbey, Mediano and Birdal, "Grokking at the Edge of Numerical
    Stability", 2025, [arXiv:2501.04697](https://arxiv.org/abs/2501.04697).
    """

    eps: Value = 1e-16

    def __post_init__(self) -> None:
        check_range("eps", self.eps, at_least=0)

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        params = require_params(params, updates, "orthograd")
        return _orthogonal(updates, params, eps=self.eps)
