"""Matrices projected to a few dimensions.

A matrix of shape ``[rows, columns]`` is projected from the left, ``P^T g`` with ``P``
of shape ``[rows, rank]``, or from the right, ``g P^T`` with ``P`` of shape ``[rank,
columns]``. Matrices with at most ``rank`` rows or columns and other leaves are not
projected.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._checks import check_choice, check_integer
from .._placement import zeros_of_shape
from .._tree import (
    PyTree,
    compute_dtype,
    flatten_like,
    is_sparse,
    leaf_dtype,
    leaves_with_names,
)


class Projector(NamedTuple):
    """Which matrices are projected, and from which side."""

    rank: int
    proj_type: str

    def check(self) -> None:
        """Check the user's arguments."""
        check_integer("rank", self.rank, at_least=1)
        check_choice(
            "proj_type", self.proj_type, ("std", "reverse_std", "left", "right")
        )

    def applies(self, shape: tuple[int, ...]) -> bool:
        """Whether a parameter is projected."""
        return len(shape) == 2 and self.rank < min(shape)

    def is_left(self, shape: tuple[int, ...]) -> bool:
        """Whether a matrix is projected from the left."""
        is_wide = shape[0] < shape[1]
        sides = {"std": is_wide, "reverse_std": not is_wide, "left": True}
        return sides.get(self.proj_type, False)

    def low_rank_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a parameter's projected gradient."""
        if not self.applies(shape):
            return shape
        left = self.is_left(shape)
        return (self.rank, shape[1]) if left else (shape[0], self.rank)

    def zeros(self, params: PyTree) -> PyTree:
        """Zeros like the projected gradients."""
        return jax.tree.map(
            lambda p: zeros_of_shape(p, self.low_rank_shape(jnp.shape(p))), params
        )

    def zero_projections(self, params: PyTree) -> PyTree:
        """A projection of zeros for each parameter that is projected, else None."""

        def zeros(leaf: Any) -> Array | None:
            shape = jnp.shape(leaf)
            if not self.applies(shape):
                return None
            own = (
                (shape[0], self.rank) if self.is_left(shape) else (self.rank, shape[1])
            )
            return zeros_of_shape(leaf, own, compute_dtype(leaf_dtype(leaf)))

        return jax.tree.map(zeros, params)

    def check_fit(self, updates: PyTree, low_rank: PyTree) -> None:
        """Check the shapes of gradients against the state.

        **Raises:** `ValueError` that names a leaf that does not fit; `TypeError`
        for a sparse one.
        """
        parts = flatten_like(low_rank, updates, ("exp_avg", "updates"))
        for (name, leaf), part in zip(leaves_with_names(updates), parts, strict=True):
            if is_sparse(leaf):
                raise TypeError(
                    f"the gradient at {name!r} is sparse, and only dense ones are "
                    "projected; use sparse_adam for it, with partition"
                )
            if self.low_rank_shape(np.shape(leaf)) != np.shape(part):
                raise ValueError(
                    f"the gradient at {name!r} of shape {np.shape(leaf)} is not one of "
                    "the parameter that the state is of: projected, it would have the "
                    f"shape {self.low_rank_shape(np.shape(leaf))}, and the average of "
                    f"those before it has {np.shape(part)}"
                )

    def project(self, matrix: Array, projection: Array) -> Array:
        """The projected matrix."""
        if self.is_left(matrix.shape):
            return jnp.matmul(projection.T, matrix, precision="highest")
        return jnp.matmul(matrix, projection.T, precision="highest")

    def restore(self, low_rank: Array, projection: Array, like: Array) -> Array:
        """The matrix with the shape of ``like`` that a projected one represents."""
        if self.is_left(like.shape):
            return jnp.matmul(projection, low_rank, precision="highest")
        return jnp.matmul(low_rank, projection, precision="highest")

    def singular_vectors(self, matrix: Array) -> Array:
        """The projection to the first singular vectors of a matrix."""
        matrix = matrix.astype(compute_dtype(matrix.dtype))
        left, _, right = jnp.linalg.svd(matrix, full_matrices=False)
        return (
            left[:, : self.rank] if self.is_left(matrix.shape) else right[: self.rank]
        )

    def gaussian(self, key: Array, matrix: Array) -> Array:
        """A projection with independent numbers of variance ``1 / rank``."""
        rows, columns = matrix.shape
        left = self.is_left(matrix.shape)
        shape = (rows, self.rank) if left else (self.rank, columns)
        # In float32 for any dtype, so that it is the same for all.
        noise: Array = jax.random.normal(key, shape, jnp.float32) / self.rank**0.5
        return noise.astype(compute_dtype(matrix.dtype))

    def refreshed(
        self, due: Array, updates: PyTree, projections: PyTree, key: Array | None = None
    ) -> PyTree:
        """New projections if they are due, else the current ones.

        **Arguments:**

        - ``due``: whether they are, a bool scalar.
        - ``updates``: the gradients.
        - ``projections``: the projections so far.
        - ``key``: a key to draw new ones; None: use the gradients' singular vectors.
        """
        leaves: list[Any] = jax.tree.leaves(updates)
        before = flatten_like(projections, updates, ("projection", "updates"))
        chosen = [i for i, p in enumerate(before) if p is not None]

        def drawn() -> list[Array]:
            if key is None:
                return [self.singular_vectors(leaves[i]) for i in chosen]
            keys = jax.random.split(key, len(leaves))
            return [self.gaussian(keys[i], leaves[i]) for i in chosen]

        def kept() -> list[Array]:
            return [before[i] for i in chosen]

        after = list(before)
        for i, projection in zip(chosen, lax.cond(due, drawn, kept), strict=True):
            after[i] = projection
        structure: Any = jax.tree.structure(updates)
        return structure.unflatten(after)
