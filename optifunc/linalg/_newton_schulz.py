"""Newton-Schulz iterations: bring singular values close to 1, using only products."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_choice, check_integer, check_range
from .._hyperparameters import Value
from .._numerics import sqrt
from .._placement import laid_like, stacked_alike, whole
from .._tree import compute_dtype
from ._spread import in_parts, is_spread

# A quintic with a large slope at 0: small singular values grow in few iterations, and
# all end near 1 without converging to it (Jordan et al., 2024).
NS_COEFFICIENTS = (3.4445, -4.775, 2.0315)

# How a matrix is scaled before the first iteration.
PRECONDITIONINGS = ("frobenius", "schatten", "aol")


def orthogonalize(
    matrices: Array,
    *,
    ns_coefficients: Any = NS_COEFFICIENTS,
    eps: Value = 1e-7,
    ns_steps: int = 5,
    ns_dtype: Any = jnp.bfloat16,
    preconditioning: str = "frobenius",
) -> Array:
    """Bring the singular values of matrices close to 1 with Newton-Schulz iterations.

    ::

        X = M / max(||M||_F, eps)
        X = X / sqrt(||X X^T||_F)                             ("schatten")
        X = diag(sum_j |X X^T|_ij)^(-1/2) X                   ("aol")
        A = X X^T,  X = a * X + (b * A + c * A A) X          (``ns_steps`` times)

    With the default coefficients, the singular values end between about 0.7 and 1.2 (or
    below, if they start near 0); with those of `polar_express_coefficients`, they end
    closer to 1. Each line is rounded once to ``ns_dtype``; products are summed in at
    least float32.

    **Arguments:**

    - ``matrices``: real, of shape ``[..., n, m]``.
    - ``ns_coefficients``: ``a``, ``b`` and ``c``; or several such triples, one for each
      iteration, the last of which is used for the rest.
    - ``eps``: the floor of the norm.
    - ``ns_steps``: the number of iterations.
    - ``ns_dtype``: the dtype to compute in.
    - ``preconditioning``: ``"frobenius"``, which is only the first line, or a sharper
      bound on the largest singular value, which leaves less work for the iterations:
      ``"schatten"`` or ``"aol"`` (with the smaller of ``X X^T`` and ``X^T X``).

    **Returns:** an array of the shape and dtype of ``matrices``.

    **Raises:** `ValueError` for coefficients that are not triples, for more of them
    than ``ns_steps``, and for an unknown ``preconditioning``.

    **Source:** Jordan et al., "Muon: An optimizer for hidden layers in neural
    networks", 2024; "schatten": Grishina et al., 2025,
    [arXiv:2506.10935](https://arxiv.org/abs/2506.10935); "aol": Boissin et al., 2025,
    [arXiv:2512.04632](https://arxiv.org/abs/2512.04632).
    """
    check_orthogonalization(ns_coefficients, eps, ns_steps, ns_dtype, preconditioning)
    # A wide matrix has the smaller X X^T.
    (result,) = newton_schulz_together(
        (wide(matrices),),
        triples(ns_coefficients),
        eps,
        steps=ns_steps,
        dtype=jnp.dtype(ns_dtype),
        preconditioning=preconditioning,
    )
    return oriented_like(matrices, result)


def check_orthogonalization(
    ns_coefficients: Any,
    eps: Value,
    ns_steps: int,
    ns_dtype: Any,
    preconditioning: str = "frobenius",
) -> None:
    """Check the arguments that `orthogonalize` and the optimizers share."""
    check_integer("ns_steps", ns_steps, at_least=0)
    # As in torch: a sensible number is below 10.
    check_range("ns_steps", ns_steps, below=100)
    given = triples(ns_coefficients)
    for triple in given:
        if len(triple) != 3:
            raise ValueError(
                "ns_coefficients must be three numbers, or a tuple of such triples, "
                f"found {ns_coefficients!r}"
            )
        for i, coefficient in enumerate(triple):
            check_range(f"ns_coefficients[{i}]", coefficient)
    if len(given) > 1 and len(given) > ns_steps:
        raise ValueError(
            f"ns_coefficients are {len(given)} triples, one per iteration, but "
            f"ns_steps is {ns_steps}; use ns_steps={len(given)}"
        )
    check_range("eps", eps, at_least=0)
    check_choice("preconditioning", preconditioning, PRECONDITIONINGS)
    if not jnp.issubdtype(ns_dtype, jnp.floating):
        raise ValueError(
            f"ns_dtype must be a real floating-point dtype, found {ns_dtype!r}"
        )


def triples(ns_coefficients: Any) -> tuple[tuple[Value, ...], ...]:
    """Coefficients by iteration, from one triple or several."""
    given = tuple(ns_coefficients)
    if not any(isinstance(x, tuple | list) for x in given):
        return (given,)
    return tuple(tuple(x) if isinstance(x, tuple | list) else (x,) for x in given)


def _transposed(matrices: Array) -> Array:
    return jnp.swapaxes(matrices, -2, -1)


def _is_tall(matrices: Array) -> bool:
    return matrices.shape[-2] > matrices.shape[-1]


def wide(matrices: Array) -> Array:
    return _transposed(matrices) if _is_tall(matrices) else matrices


def oriented_like(reference: Array, matrices: Array) -> Array:
    """Wide ``matrices``, transposed if ``reference`` is tall."""
    return _transposed(matrices) if _is_tall(reference) else matrices


def orthogonalize_each(
    matrices: Sequence[Array],
    ns_coefficients: Any,
    eps: Value,
    *,
    steps: int,
    dtype: Any,
    preconditioning: str = "frobenius",
) -> list[Array]:
    """`orthogonalize` for each of several arrays.

    Those with the same shape, or the transposed shape, and dtype are one batch; on a
    CPU, one loop.
    """

    def together(*arrays: Array) -> tuple[Array, ...]:
        results: tuple[Array, ...] = newton_schulz_together(
            arrays,
            triples(ns_coefficients),
            eps,
            steps=steps,
            dtype=dtype,
            preconditioning=preconditioning,
        )
        return results

    def stacked(*arrays: Array) -> tuple[Array, ...]:
        (results,) = in_parts(together, stacked_alike(arrays))
        return tuple(map(laid_like, results, arrays))

    batches = defaultdict(list)
    for i, matrix in enumerate(matrices):
        key = matrix.shape[:-2], tuple(sorted(matrix.shape[-2:])), matrix.dtype
        batches[key].append(i)
    results = list(matrices)
    for members in batches.values():
        # On a CPU, XLA compiles each slice of a batch separately, which takes longer
        # than all the rest; single products use the machine just as well there.
        own = [wide(matrices[i]) for i in members]
        batch = (
            stacked(*own)
            if is_spread()
            else lax.platform_dependent(*own, cpu=together, default=stacked)
        )
        for i, result in zip(members, batch, strict=True):
            results[i] = oriented_like(matrices[i], result)
    return results


@partial(jax.jit, static_argnames=("steps", "dtype", "preconditioning"))
def newton_schulz_together(
    batches: tuple[Array, ...],
    coefficients: tuple[tuple[Value, ...], ...],
    eps: Value,
    *,
    steps: int,
    dtype: Any,
    preconditioning: str,
) -> tuple[Array, ...]:
    """`orthogonalize` for wide matrices, several arrays of them in one loop."""
    wide_dtype = compute_dtype(dtype)
    eps = lax.convert_element_type(eps, dtype)
    table = jnp.stack(
        [
            jnp.stack([lax.convert_element_type(x, wide_dtype) for x in triple])
            for triple in coefficients
        ]
    )

    def product(x: Array, y: Array) -> Array:
        # "highest", because a requested float32 should not be computed in less.
        return jnp.matmul(x, y, precision="highest", preferred_element_type=wide_dtype)

    @jax.jit
    def normalized(x: Array) -> Array:
        x = x.astype(dtype)
        squares = jnp.square(x.astype(wide_dtype))
        norm = sqrt(jnp.sum(squares, axis=(-2, -1), keepdims=True)).astype(dtype)
        x = (x.astype(wide_dtype) / jnp.maximum(norm, eps).astype(wide_dtype)).astype(
            dtype
        )
        if preconditioning == "frobenius":
            return x
        gram = product(x, _transposed(x))
        if preconditioning == "schatten":
            square = sqrt(jnp.sum(gram * gram, axis=(-2, -1), keepdims=True))
        else:
            square = jnp.sum(jnp.abs(gram), axis=-1, keepdims=True)
        # A row of zeros stays one.
        square = jnp.where(square > 0, square, 1)
        return (x.astype(wide_dtype) * lax.rsqrt(square)).astype(dtype)

    @jax.jit
    def iterated(x: Array, triple: Array) -> Array:
        a, b, c = triple
        gram = product(x, _transposed(x)).astype(dtype)
        square = product(gram, gram)
        polynomial = (b * gram.astype(wide_dtype) + c * square).astype(dtype)
        result: Array = a * x.astype(wide_dtype) + product(polynomial, x)
        return result.astype(dtype)

    def iteration(i: Array, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        triple = table[jnp.minimum(i, len(coefficients) - 1)]
        return tuple(iterated(x, triple) for x in arrays)

    results: tuple[Array, ...] = lax.fori_loop(
        0, steps, iteration, tuple(normalized(whole(x, axes=2)) for x in batches)
    )
    return tuple(
        laid_like(x.astype(y.dtype), y) for x, y in zip(results, batches, strict=True)
    )
