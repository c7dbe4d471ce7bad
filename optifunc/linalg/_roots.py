"""Inverse roots of symmetric matrices, from their eigenvalues."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_range
from .._numerics import Scalar
from .._tree import check_real, compute_dtype


def from_eigenvalues(vectors: Array, values: Array) -> Array:
    """The symmetric matrices ``V diag(l) V^T``."""
    scaled = vectors * values[..., None, :]
    return jnp.matmul(scaled, vectors.mT, precision="highest")


def matrix_inverse_pth_root(
    matrix: Array, p: Scalar, *, ridge_epsilon: Scalar = 1e-6
) -> Array:
    """The inverse root of a positive semidefinite matrix: ``A^(-1/p)``.

    ::

        A = M + ridge_epsilon * max(l_max, 1e-16) * I
        X = V diag(l^(-1/p)) V^T,   A = V diag(l) V^T

    Shampoo multiplies gradients by it, with ``p = 4`` for matrices. Negative
    eigenvalues, which come from rounding, count as 0 before the ridge is added.

    The derivatives with respect to all arguments are finite even if eigenvalues
    coincide, as in the identity.

    **Arguments:**

    - ``matrix``: ``M``, real and symmetric, [..., n, n]. If it is not exactly
      symmetric, the symmetric part is used.
    - ``p``: the order of the root, above 0, not necessarily an integer.
    - ``ridge_epsilon``: the number added to all eigenvalues, relative to the largest
      one, at least 0. With 0, a singular matrix has an infinite root.

    **Returns:** an array of the shape and dtype of ``matrix``, computed in at least
    float32.

    **Raises:** `ValueError` if ``p`` is not above 0, ``ridge_epsilon`` is negative or
    the matrix is not square, `TypeError` if it is not real floating point.

    **Source:** Gupta, Koren and Singer, "Shampoo: Preconditioned Stochastic Tensor
    Optimization", 2018, [arXiv:1802.09568](https://arxiv.org/abs/1802.09568).
    """
    check_range("p", p, above=0)
    check_range("ridge_epsilon", ridge_epsilon, at_least=0)
    check_real(matrix, ("matrix_inverse_pth_root", "matrices"))
    matrix = jnp.asarray(matrix)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise ValueError(f"matrix must be square, found the shape {matrix.shape}")
    dtype = compute_dtype(matrix.dtype)
    wide = lax.convert_element_type(matrix, dtype)
    if matrix.size == 0:
        return matrix
    exponent = lax.convert_element_type(1 / p, dtype)
    ridge = lax.convert_element_type(ridge_epsilon, dtype)
    root = _inverse_power(wide, exponent, ridge)
    return lax.convert_element_type(root, matrix.dtype)


@jax.custom_jvp
def _inverse_power(matrix: Array, exponent: Array, ridge: Array) -> Array:
    values, vectors, _ = _with_ridge(matrix, ridge)
    return from_eigenvalues(vectors, values**-exponent)


def _with_ridge(matrix: Array, ridge: Array) -> tuple[Array, Array, Array]:
    """Eigenvalues with the ridge, eigenvectors, and the largest eigenvalue."""
    values, vectors = jnp.linalg.eigh(matrix)
    largest = values[..., -1:]
    floored = jnp.maximum(values, 0) + ridge * jnp.maximum(largest, 1e-16)
    return floored, vectors, largest


@_inverse_power.defjvp
def _inverse_power_jvp(
    primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]
) -> tuple[Array, Array]:
    """With divided differences, unlike `eigh`, which fails if eigenvalues coincide."""
    matrix, exponent, ridge = primals
    values, vectors, largest = _with_ridge(matrix, ridge)
    logs = jnp.log(values)
    powers = values**-exponent
    # (a^-s - b^-s) / (a - b) with r = log(a / b), to rounding for every ratio.
    r = logs[..., :, None] - logs[..., None, :]
    apart = jnp.where(r == 0, 1, r)
    quotient = jnp.where(
        r == 0, -exponent, jnp.expm1(-exponent * apart) / jnp.expm1(apart)
    )
    differences = (powers / values)[..., None, :] * quotient
    change = (tangents[0] + tangents[0].mT) / 2
    turned = jnp.matmul(
        jnp.matmul(vectors.mT, change, precision="highest"),
        vectors,
        precision="highest",
    )
    # The largest eigenvalue moves the ridge.
    moved = jnp.where(largest > 1e-16, turned[..., -1, -1:], 0)
    shift = ridge * moved + tangents[2] * jnp.maximum(largest, 1e-16)
    diagonal = -exponent * powers / values * shift - tangents[1] * logs * powers
    identity = jnp.eye(values.shape[-1], dtype=values.dtype)
    inner = differences * turned + diagonal[..., None, :] * identity
    tangent = jnp.matmul(
        jnp.matmul(vectors, inner, precision="highest"),
        vectors.mT,
        precision="highest",
    )
    return _inverse_power(matrix, exponent, ridge), tangent
