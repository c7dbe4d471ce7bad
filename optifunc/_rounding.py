"""Rounding to narrow floating-point numbers that no compiler optimizes away."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from ._tree import PyTree, compute_dtype, is_array, is_sparse, leaf_dtype


def is_narrow(leaf: Any, than: Any = jnp.float32) -> bool:
    """Whether ``leaf`` is dense, real, and less precise than the dtype ``than``."""
    if is_sparse(leaf) or not is_array(leaf):
        return False
    if not jnp.issubdtype(leaf_dtype(leaf), jnp.floating):
        return False
    return bool(jnp.finfo(leaf_dtype(leaf)).nmant < jnp.finfo(than).nmant)


def widened(tree: PyTree, dtype: Any = jnp.float32) -> PyTree:
    """``tree`` with its narrow leaves in ``dtype``."""

    def widen(leaf: Any) -> Any:
        if not is_narrow(leaf, dtype):
            return leaf
        if isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf.update(dtype=dtype)
        return lax.convert_element_type(leaf, dtype)

    return jax.tree.map(widen, tree, is_leaf=is_sparse)


def rounded(x: Array, dtype: Any) -> Array:
    """``x`` rounded to the nearest number of ``dtype``, in its own dtype.

    XLA may compute with more digits than a program specifies, and then removes a
    conversion to a narrow dtype and back. It keeps the operation that is used here.
    """
    if dtype == jnp.bfloat16 and x.dtype == jnp.float32:
        info = jnp.finfo(dtype)
        return lax.reduce_precision(x, info.nexp, info.nmant)
    narrow = lax.optimization_barrier(lax.convert_element_type(x, dtype))
    return lax.convert_element_type(narrow, x.dtype)


def stochastically_rounded(x: Array, bits: Array) -> Array:
    """float32 numbers rounded up or down to bfloat16 ones, without bias.

    **Arguments:**

    - ``x``: float32.
    - ``bits``: uint16, random, of the same shape. A number at a fraction ``s`` of the
      way to the next larger magnitude is rounded there with probability ``s``.

    **Returns:** bfloat16 numbers, in float32. Infinities and NaN are unchanged.
    """
    pattern = lax.bitcast_convert_type(x, jnp.uint32)
    carried = pattern + lax.convert_element_type(bits, jnp.uint32)
    upper = lax.bitwise_and(carried, jnp.uint32(0xFFFF0000))
    result = lax.bitcast_convert_type(upper, jnp.float32)
    return jnp.where(jnp.isfinite(x), result, x)


def random_bits(key: Array, shape: tuple[int, ...]) -> Array:
    """Random uint16 numbers, each a hash of the key and of its place in the array.

    Few operations on single elements, which are computed where the numbers are used.
    With the generators of `jax.random`, random numbers would take most of a step.

    **Arguments:**

    - ``key``: uint32 [2]. Keys that differ in the second number only are as good as
      any others; if they differ in the first, both are to be random.

    **Source:** the hash is C. Wellons' lowbias32,
    [hash-prospector](https://github.com/skeeto/hash-prospector), applied twice.
    """
    place = lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    mixed = _hashed(_hashed(place + key[0]) ^ key[1])
    return lax.convert_element_type(mixed >> 16, jnp.uint16)


def _hashed(x: Array) -> Array:
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def lost_in_sum(leaf: Any, change: Any) -> Array:
    """What ``leaf + change`` loses when it is rounded to the dtype of ``leaf``.

    Exact except for a last rounding (Knuth's TwoSum), and in at least float32;
    ``change`` may have a wider or a narrower dtype.
    """
    own = leaf_dtype(leaf)
    dtype = compute_dtype(own, leaf_dtype(change))
    wide, change = (lax.convert_element_type(x, dtype) for x in (leaf, change))
    total = wide + change
    if own != dtype and jnp.issubdtype(own, jnp.floating):
        total = rounded(total, own)
    added = total - wide
    lost: Array = (wide - (total - added)) + (change - added)
    return lost


def moves(params: PyTree, updates: PyTree, wanted: PyTree) -> PyTree:
    """Updates that turn narrow parameters into the rounding of wide ones.

    `apply_updates` adds in the wider dtype and rounds once, so the sum is as wanted.

    **Arguments:**

    - ``params``: the parameters.
    - ``updates``: used where ``wanted`` is None.
    - ``wanted``: a wide array for each parameter, which is rounded to its dtype, or
      None.

    **Returns:** updates in the dtype of ``wanted``.
    """

    def move(update: Any, param: Any, wide: Any) -> Any:
        if wide is None:
            return update
        new = rounded(wide, leaf_dtype(param))
        old = lax.convert_element_type(param, wide.dtype)
        # An unchanged infinity is not a difference.
        return jnp.where(new == old, jnp.zeros_like(new), new - old)

    return jax.tree.map(move, updates, params, wanted, is_leaf=is_sparse)
