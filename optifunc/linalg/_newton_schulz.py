"""Newton-Schulz iterations: singular values brought near 1 by products alone."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._hyperparameters import Value
from .._numerics import sqrt
from .._tree import compute_dtype

# A quintic whose slope at 0 is large: small singular values grow in few iterations, and
# all end near 1 without converging to it (Jordan et al., 2024).
NS_COEFFICIENTS = (3.4445, -4.775, 2.0315)


def orthogonalize(
    matrices: Array,
    *,
    ns_coefficients: tuple[Value, Value, Value] = NS_COEFFICIENTS,
    eps: Value = 1e-7,
    ns_steps: int = 5,
    ns_dtype: Any = jnp.bfloat16,
) -> Array:
    """Bring the singular values of matrices near 1, by Newton-Schulz iterations.

    ::

        X = M / max(||M||_F, eps)
        A = X X^T,  X = a * X + (b * A + c * A A) X          (``ns_steps`` times)

    With the default coefficients the singular values end between about 0.7 and 1.2
    (those that start near 0, below it). Each line is rounded once to ``ns_dtype``;
    products are summed in float32 at least.

    **Arguments:**

    - ``matrices``: real, of shape ``[..., n, m]``.
    - ``ns_coefficients``: ``a``, ``b`` and ``c``.
    - ``eps``: the floor of the norm.
    - ``ns_steps``: the number of iterations.
    - ``ns_dtype``: the dtype to compute in.

    **Returns:** an array of the shape and dtype of ``matrices``.

    **Source:** Jordan et al., "Muon: An optimizer for hidden layers in neural
    networks", 2024.
    """
    # A wide matrix has the smaller X X^T.
    (result,) = newton_schulz_together(
        (wide(matrices),),
        tuple(ns_coefficients),
        eps,
        steps=ns_steps,
        dtype=ns_dtype,
    )
    return oriented_like(matrices, result)


def _transposed(matrices: Array) -> Array:
    return jnp.swapaxes(matrices, -2, -1)


def _is_tall(matrices: Array) -> bool:
    return matrices.shape[-2] > matrices.shape[-1]


def wide(matrices: Array) -> Array:
    return _transposed(matrices) if _is_tall(matrices) else matrices


def oriented_like(reference: Array, matrices: Array) -> Array:
    """Wide ``matrices``, transposed where ``reference`` is tall."""
    return _transposed(matrices) if _is_tall(reference) else matrices


@partial(jax.jit, static_argnames=("steps", "dtype"))
def newton_schulz_together(
    batches: tuple[Array, ...],
    coefficients: tuple[Value, Value, Value],
    eps: Value,
    *,
    steps: int,
    dtype: Any,
) -> tuple[Array, ...]:
    """`orthogonalize` for wide matrices, several arrays of them in one loop."""
    wide_dtype = compute_dtype(dtype)
    a, b, c = (lax.convert_element_type(x, wide_dtype) for x in coefficients)
    eps = lax.convert_element_type(eps, dtype)

    def product(x: Array, y: Array) -> Array:
        # "highest" because a float32 asked for should not be computed in less.
        return jnp.matmul(x, y, precision="highest", preferred_element_type=wide_dtype)

    @jax.jit
    def normalized(x: Array) -> Array:
        x = x.astype(dtype)
        squares = jnp.square(x.astype(wide_dtype))
        norm = sqrt(jnp.sum(squares, axis=(-2, -1), keepdims=True)).astype(dtype)
        return (
            x.astype(wide_dtype) / jnp.maximum(norm, eps).astype(wide_dtype)
        ).astype(dtype)

    @jax.jit
    def iterated(x: Array) -> Array:
        gram = product(x, _transposed(x)).astype(dtype)
        square = product(gram, gram)
        polynomial = (b * gram.astype(wide_dtype) + c * square).astype(dtype)
        return (a * x.astype(wide_dtype) + product(polynomial, x)).astype(dtype)

    results: tuple[Array, ...] = lax.fori_loop(
        0,
        steps,
        lambda _, arrays: tuple(map(iterated, arrays)),
        tuple(map(normalized, batches)),
    )
    return tuple(x.astype(y.dtype) for x, y in zip(results, batches, strict=True))
