"""The memory of L-BFGS, and the direction computed from it."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax


class Pairs(NamedTuple):
    """Changes of gradient and parameters, in a ring buffer of rows.

    Pair ``i`` is row ``i % rows`` of each array.
    """

    old_dirs: Array  # [rows, N], changes of the gradient
    old_stps: Array  # [rows, N], changes of the parameters
    ro: Array  # [rows], 1 / their products
    num_pairs: Array  # int32 [], pairs stored so far


def dot(x: Array, y: Array) -> Array:
    """The inner product of two vectors."""
    # Some accelerators round the factors of a product by default.
    return jnp.dot(x, y, precision=lax.Precision.HIGHEST)


def remember(
    pairs: Pairs, y: Array, s: Array, product: Array, wanted: Array
) -> tuple[Pairs, Array]:
    """Store a pair, if ``wanted``.

    **Returns:** the pairs, and the scale that this one suggests for the initial
    inverse Hessian.
    """
    row = pairs.num_pairs % pairs.ro.size

    # Write one row instead of selecting a buffer, which a loop can do in place.
    def put(buffer: Array, new: Array) -> Array:
        return buffer.at[row].set(jnp.where(wanted, new, buffer[row]))

    length = dot(y, y)
    stored = Pairs(
        old_dirs=put(pairs.old_dirs, y),
        old_stps=put(pairs.old_stps, s),
        # A pair whose product is 0 has no weight.
        ro=put(pairs.ro, jnp.where(product == 0, 0, 1 / product)),
        num_pairs=jnp.where(wanted, _next_number(pairs), pairs.num_pairs),
    )
    return stored, jnp.where(length > 0, product / length, 1)


def _next_number(pairs: Pairs) -> Array:
    """The number of pairs plus 1; after 2^31, a number with the same rows in use."""
    most, size = 2**31 - 1, pairs.ro.size
    at_most = pairs.num_pairs == most
    return jnp.where(at_most, size + (most + 1) % size, pairs.num_pairs + 1)


def two_loops(
    pairs: Pairs, vector: Array, scale: Array, al: Array, wanted: Array | bool = True
) -> tuple[Array, Array]:
    """``H vector`` by the two-loop recursion, and its coefficients.

    **Arguments:**

    - ``pairs``: the pairs that define ``H``.
    - ``vector``: the vector to multiply.
    - ``scale``: ``H`` starts as ``scale`` times the identity.
    - ``al``: [rows], where the coefficients are written.
    - ``wanted``: if False, the result is meaningless and costs little.
    """
    size = pairs.ro.size
    count = jnp.where(wanted, jnp.minimum(pairs.num_pairs, size), 0)

    def backward(i: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        q, al = carry
        row = (pairs.num_pairs - 1 - i) % size
        weight = dot(pairs.old_stps[row], q) * pairs.ro[row]
        return q - weight * pairs.old_dirs[row], al.at[row].set(weight)

    def forward(i: Array, r: Array) -> Array:
        row = (pairs.num_pairs - count + i) % size
        weight = dot(pairs.old_dirs[row], r) * pairs.ro[row]
        r += (al[row] - weight) * pairs.old_stps[row]
        return r

    q, al = lax.fori_loop(0, count, backward, (vector, al))
    result: Array = lax.fori_loop(0, count, forward, q * scale)
    return result, al
