"""Updates of a known length, and updates in proportion to the parameters."""

import jax.numpy as jnp
from jax import Array

from .._checks import check_range
from .._hyperparameters import Value
from .._leafwise import leafwise
from .._numerics import as_scalar, sqrt
from .._transformation import Stateless, require_params, transformation
from .._tree import PyTree, check_shapes, global_norm, squared_norm
from ._scaling import _scaled


@transformation
class normalize_by_update_norm(Stateless):
    """Bring the updates, all leaves together, to one length.

    ::

        u = scale_factor * g / (norm(g) + eps),    norm(g) = global_norm(g)

    Updates of 0 stay 0, also with ``eps=0``. For one length a leaf, put
    `scale_by_trust_ratio` or `clip_by_block_rms` there.

    **Arguments:**

    - ``scale_factor``: the length, at least 0.
    - ``eps``: added to the norm, at least 0.

    **State:** ``()``.

    **Raises:** `ValueError` if a number is negative.

    **Source:** the normalized gradient of Hazan, Levy and Shalev-Shwartz, "Beyond
    convexity: stochastic quasi-convex optimization", 2015,
    [arXiv:1507.02030](https://arxiv.org/abs/1507.02030).
    """

    scale_factor: Value = 1.0
    eps: Value = 1e-6

    def __post_init__(self) -> None:
        check_range("scale_factor", self.scale_factor, at_least=0)
        check_range("eps", self.eps, at_least=0)

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        norm = global_norm(updates) + as_scalar(self.eps)
        factor = as_scalar(self.scale_factor) / jnp.where(norm == 0, 1, norm)
        return _scaled(updates, factor=factor)


@leafwise(static=("is_rms",))
def _scaled_by_block(
    updates: Array, params: Array, *, min_scale: Array, is_rms: bool
) -> Array:
    square = squared_norm(params)
    size = sqrt(square / max(params.size, 1) if is_rms else square)
    return updates * jnp.maximum(size, min_scale).astype(updates.dtype)


def _by_block(
    updates: PyTree, params: PyTree | None, min_scale: Value, is_rms: bool, name: str
) -> PyTree:
    params = require_params(params, updates, name)
    check_shapes(updates, params, ("updates", "params"))
    return _scaled_by_block(updates, params, min_scale=min_scale, is_rms=is_rms)


@transformation
class scale_by_param_block_norm(Stateless):
    """Multiply each leaf's update by its parameter's norm.

    ::

        u = max(norm(p), min_scale) * g

    The norm is Euclidean, of a whole leaf, and accumulated in float32 at least.

    **Arguments:**

    - ``min_scale``: the least that counts as a norm, at least 0, so that parameters
      that begin at 0 can move.

    **State:** ``()``.

    **Raises:** `ValueError` if ``min_scale`` is negative, and at `update` if ``params``
    is missing; `TypeError` for a sparse leaf.

    **Source:** optax's transformation of this name.
    """

    min_scale: Value = 1e-3

    def __post_init__(self) -> None:
        check_range("min_scale", self.min_scale, at_least=0)

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        name = "scale_by_param_block_norm"
        return _by_block(updates, params, self.min_scale, False, name)


@transformation
class scale_by_param_block_rms(Stateless):
    """Multiply each leaf's update by its parameter's root mean square.

    ::

        u = max(rms(p), min_scale) * g

    The mean is of a whole leaf, accumulated in float32 at least.

    **Arguments:**

    - ``min_scale``: the least that counts as a root mean square, at least 0, so that
      parameters that begin at 0 can move.

    **State:** ``()``.

    **Raises:** `ValueError` if ``min_scale`` is negative, and at `update` if ``params``
    is missing; `TypeError` for a sparse leaf.

    **Source:** the relative step size of Shazeer and Stern, "Adafactor: adaptive
    learning rates with sublinear memory cost", 2018,
    [arXiv:1804.04235](https://arxiv.org/abs/1804.04235).
    """

    min_scale: Value = 1e-3

    def __post_init__(self) -> None:
        check_range("min_scale", self.min_scale, at_least=0)

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        name = "scale_by_param_block_rms"
        return _by_block(updates, params, self.min_scale, True, name)
