"""What optimizers with orthogonalized updates have in common."""

from __future__ import annotations

import math
from typing import Any

import jax
from jax import Array

from .._hyperparameters import Value
from .._tree import PyTree
from ..linalg._newton_schulz import orthogonalize_each
from ._matrices import OutputAxis, as_matrix


def orthogonal_matrices(
    tree: PyTree,
    output_axis: OutputAxis | None,
    batch_axes: int,
    ns_coefficients: Any,
    eps: Value,
    *,
    steps: int,
    dtype: Any,
    preconditioning: str = "frobenius",
) -> list[Array]:
    """The leaves as matrices of outputs by inputs, orthogonalized."""
    leaves = jax.tree.leaves(tree)
    return orthogonalize_each(
        [as_matrix(leaf, output_axis, batch_axes) for leaf in leaves],
        ns_coefficients,
        eps,
        steps=steps,
        dtype=dtype,
        preconditioning=preconditioning,
    )


def spectral_factor(outputs: int, inputs: int) -> float:
    """The factor with which an orthogonal matrix preserves an RMS of 1."""
    return math.sqrt(outputs / max(inputs, 1))


def bounded_factor(outputs: int, inputs: int) -> float:
    """`spectral_factor`, at least 1: Keller Jordan's."""
    return max(1.0, spectral_factor(outputs, inputs))


def adam_factor(outputs: int, inputs: int) -> float:
    """The factor for elements with an RMS of 0.2, like Adam's steps."""
    return 0.2 * math.sqrt(max(outputs, inputs))
