"""Steps along a sphere: the norm of each matrix is constant."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_range
from .._hyperparameters import Value
from .._leafwise import leafwise
from .._numerics import sqrt
from .._state import PerParameter
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree, check_shapes, compute_dtype, squared_norm
from ._matrices import check_matrices


class StepByHyperballState(NamedTuple):
    """State of `step_by_hyperball`.

    **Fields:**

    - ``radius``: the initial norm of each parameter, in at least float32.
    """

    radius: PerParameter


@leafwise()
def _along_sphere(updates: Array, params: Array, radius: Array, *, lr: Array) -> Array:
    def scaled(x: Array) -> Array:
        """Scale to the norm ``radius``; an array without direction stays 0."""
        norm = sqrt(jnp.sum(x * x))
        return x * (radius / jnp.where(norm > 0, norm, 1))

    return scaled(params - lr * scaled(updates)) - params


@transformation
class step_by_hyperball(GradientTransformation):
    """A step along the preceding direction that keeps the norm of each matrix.

    ::

        R = ||p||                                        (at the beginning)
        q = p - lr * R * d / ||d||
        u = R * q / ||q|| - p

    The learning rate is approximately an angle, the same for all matrices, and weight
    decay has no effect. Put it last in a chain, after any direction::

        tx = of.chain(of.scale_by_muon(), of.step_by_hyperball(0.02))

    It is for leaves with two or more axes: see `label_matrices` for the others.

    **Arguments:**

    - ``lr``: the learning rate, the length of a step relative to that of the parameter.

    **State:** `StepByHyperballState`.

    **Raises:** `ValueError` if ``lr`` is negative or NaN, at `init` for a leaf of fewer
    axes, and at `update` if ``params`` is missing; `TypeError` for complex parameters.

    **Source:** HyperBallAdamW of
    [heavyball](https://github.com/HomebrewML/HeavyBall), MuonH and AdamH of
    [marin](https://github.com/marin-community/marin).
    """

    lr: Value

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)

    def init(self, params: PyTree) -> StepByHyperballState:
        check_matrices("step_by_hyperball", params, 0, 0)

        def norm(leaf: Any) -> Array:
            dtype = compute_dtype(leaf.dtype)
            return lax.convert_element_type(sqrt(squared_norm(leaf)), dtype)

        return StepByHyperballState(jax.tree.map(norm, params))

    def update(
        self,
        updates: PyTree,
        state: StepByHyperballState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByHyperballState]:
        params = require_params(params, updates, "step_by_hyperball")
        check_shapes(updates, params, ("updates", "params"))
        return _along_sphere(updates, params, state.radius, lr=self.lr), state
