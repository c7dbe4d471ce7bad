"""The eigenvalue of largest magnitude, using only products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_range
from .._numerics import Scalar, as_scalar
from .._tree import (
    PyTree,
    check_real,
    check_shapes,
    compute_dtype,
    global_norm,
    inner_product,
    leaf_dtype,
)


def power_iteration(
    matrix: Array | Callable[[PyTree], PyTree],
    *,
    v0: PyTree | None = None,
    num_iters: int = 100,
    error_tolerance: Scalar = 1e-6,
    key: Array | None = None,
) -> tuple[Array, PyTree]:
    """The eigenvalue of largest magnitude of a matrix, and its eigenvector.

    ::

        v = A v / ||A v||,   l = <v, A v>     until ||A v - l v|| <= error_tolerance |l|

    ``A`` may be a function of a tree, so that the sharpness of a loss is::

        def product(v):
            return of.linalg.hvp(loss_fn, params, v, batch)

        sharpness, direction = of.linalg.power_iteration(product, v0=params)

    It converges like the powers of the ratio of the second largest magnitude to the
    largest. If two eigenvalues of opposite sign share the largest, it does not converge
    and stops after ``num_iters``. For a symmetric matrix, the error of the eigenvalue
    is of the order of the square of the vector's error, and it has the right derivative
    with respect to the matrix, ``v v^T``; the eigenvector has none.

    **Arguments:**

    - ``matrix``: a real matrix [n, n], diagonalizable; or a linear function of a tree
      that returns one like it.
    - ``v0``: the initial vector, [n] or a tree of real arrays, not orthogonal to the
      eigenvector. None: random numbers in [-1, 1). A function needs it.
    - ``num_iters``: the maximum number of products.
    - ``error_tolerance``: the relative error at which to stop; with 0, all
      ``num_iters`` are computed.
    - ``key``: a key of `jax.random`, for the random numbers; None:
      ``jax.random.key(0)``.

    **Returns:** the eigenvalue, a scalar in the widest enabled float dtype; and the
    eigenvector, of length 1, like ``v0``. For a matrix of zeros, it is ``v0``.

    **Raises:** `ValueError` for a matrix that is not square, a ``v0`` of another shape,
    a function without ``v0`` or a negative number; `TypeError` for anything but a real
    floating-point array.

    **Source:** von Mises and Pollaczek-Geiringer, "Praktische Verfahren der
    Gleichungsaufloesung", 1929.
    """
    check_range("num_iters", num_iters, at_least=0)
    check_range("error_tolerance", error_tolerance, at_least=0)
    product, v0 = _product_and_start(matrix, v0, key)

    def unfinished(carry: tuple[PyTree, PyTree, Array]) -> Array:
        vector, image, count = carry
        value = inner_product(vector, image)
        residual = jax.tree.map(
            lambda z, v: z - lax.convert_element_type(value, z.dtype) * v, image, vector
        )
        bound = as_scalar(error_tolerance) * jnp.abs(value)
        return (global_norm(residual) > bound) & (count < num_iters)

    def step(
        carry: tuple[PyTree, PyTree, Array],
    ) -> tuple[PyTree, PyTree, Array]:
        vector = _normalized(carry[1], carry[0])
        return vector, lax.stop_gradient(product(vector)), carry[2] + 1

    start = lax.stop_gradient(_normalized(v0, v0))
    begin = (start, lax.stop_gradient(product(start)), jnp.zeros((), jnp.int32))
    vector, image, _ = lax.while_loop(unfinished, step, begin)
    vector = lax.stop_gradient(_normalized(image, vector))
    # Once more, for the derivative with respect to the matrix.
    return inner_product(vector, product(vector)), vector


def _product_and_start(
    matrix: Any, v0: PyTree | None, key: Array | None
) -> tuple[Callable[[PyTree], PyTree], PyTree]:
    """The product as a function, in the dtypes of the vector, and the vector."""
    if callable(matrix):
        if v0 is None:
            raise ValueError(
                "power_iteration of a function needs v0, a tree like the one that the "
                "function takes"
            )
        check_real(v0, ("power_iteration", "vectors"))

        def product(vector: PyTree) -> PyTree:
            image = matrix(vector)
            check_shapes(image, vector, ("matrix(v)", "v0"))
            return jax.tree.map(
                lambda z, v: lax.convert_element_type(z, leaf_dtype(v)), image, vector
            )

        return product, jax.tree.map(jnp.asarray, v0)
    check_real(matrix, ("power_iteration", "matrices"))
    shape = jnp.shape(matrix)
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(
            f"matrix must be square, found the shape {shape}; use jax.vmap for several"
        )
    wide = lax.convert_element_type(matrix, compute_dtype(leaf_dtype(matrix)))
    if v0 is None:
        key = jax.random.key(0) if key is None else key
        v0 = jax.random.uniform(key, shape[1:], wide.dtype, -1.0, 1.0)
    check_real(v0, ("power_iteration", "vectors"))
    if jnp.shape(v0) != shape[1:]:
        raise ValueError(
            f"v0 must have the shape {shape[1:]} for a matrix of the shape {shape}, "
            f"found {jnp.shape(v0)}"
        )
    v0 = lax.convert_element_type(v0, wide.dtype)
    return lambda vector: jnp.matmul(wide, vector, precision="highest"), v0


def _normalized(vector: PyTree, fallback: PyTree) -> PyTree:
    """``vector`` at length 1, or ``fallback`` if it is 0."""
    norm = global_norm(vector)
    length = jnp.where(norm > 0, norm, 1)

    def divided(x: Array, other: Array) -> Array:
        return jnp.where(norm > 0, x / lax.convert_element_type(length, x.dtype), other)

    return jax.tree.map(divided, vector, fallback)
