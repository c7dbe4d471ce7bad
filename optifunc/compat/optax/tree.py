"""optax.tree: arithmetic on trees, and reading and writing states by name."""

from __future__ import annotations

import builtins
import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ..._tree import PyTree
from ._search import (
    get as get,
    get_all_with_path as get_all_with_path,
    map_params as map_params,
    set as set,
)


def _is_none(node: Any) -> bool:
    return node is None


def add(tree_x: PyTree, tree_y: PyTree, *other_trees: PyTree) -> PyTree:
    """The sum of trees."""
    return jax.tree.map(
        lambda *leaves: functools.reduce(operator.add, leaves),
        tree_x,
        tree_y,
        *other_trees,
    )


def sub(tree_x: PyTree, tree_y: PyTree) -> PyTree:
    """The difference of two trees."""
    return jax.tree.map(operator.sub, tree_x, tree_y)


def mul(tree_x: PyTree, tree_y: PyTree) -> PyTree:
    """The product of two trees, element by element."""
    return jax.tree.map(operator.mul, tree_x, tree_y)


def div(tree_x: PyTree, tree_y: PyTree) -> PyTree:
    """The quotient of two trees, element by element."""
    return jax.tree.map(operator.truediv, tree_x, tree_y)


def scale(scalar: ArrayLike, tree: PyTree) -> PyTree:
    """A tree times a number."""
    return jax.tree.map(lambda x: scalar * x, tree)


def add_scale(tree_x: PyTree, scalar: ArrayLike, tree_y: PyTree) -> PyTree:
    """``tree_x + scalar * tree_y``."""
    factor = jnp.asarray(scalar)
    return jax.tree.map(
        lambda x, y: None if x is None else x + factor * y,
        tree_x,
        tree_y,
        is_leaf=_is_none,
    )


def vdot(tree_x: PyTree, tree_y: PyTree) -> Any:
    """The inner product of two trees, the first one conjugated."""
    products: Any = jax.tree.map(
        lambda x, y: jnp.vdot(x, y, precision=jax.lax.Precision.HIGHEST), tree_x, tree_y
    )
    return functools.reduce(operator.add, jax.tree.leaves(products), 0)


def sum(tree: PyTree, associative_reduction: bool = False) -> Any:
    """The sum of all elements of a tree."""
    return functools.reduce(operator.add, map(jnp.sum, jax.tree.leaves(tree)), 0)


def _larger(x: Any, y: Any) -> Any:
    return jnp.maximum(x, y)


def _smaller(x: Any, y: Any) -> Any:
    return jnp.minimum(x, y)


def max(tree: PyTree) -> Any:
    """The largest element of a tree."""
    parts: list[Any] = [
        jnp.max(leaf) for leaf in jax.tree.leaves(tree) if jnp.size(leaf)
    ]
    return functools.reduce(_larger, parts, -jnp.inf)


def min(tree: PyTree) -> Any:
    """The smallest element of a tree."""
    parts: list[Any] = [
        jnp.min(leaf) for leaf in jax.tree.leaves(tree) if jnp.size(leaf)
    ]
    return functools.reduce(_smaller, parts, jnp.inf)


def size(tree: PyTree) -> int:
    """The number of elements of a tree."""
    return builtins.sum(jnp.size(leaf) for leaf in jax.tree.leaves(tree))


def conj(tree: PyTree) -> PyTree:
    """The complex conjugate of a tree."""
    return jax.tree.map(jnp.conj, tree)


def real(tree: PyTree) -> PyTree:
    """The real part of a tree."""
    return jax.tree.map(jnp.real, tree)


def _squared_magnitude(x: Any) -> Array:
    return jnp.square(jnp.real(x)) + jnp.square(jnp.imag(x))


def norm(
    tree: PyTree, ord: int | str | float | None = None, squared: bool = False
) -> Array:
    """The norm of all elements of a tree: Euclidean, of order 1, or the largest."""
    if ord is None or ord == 2:
        square = jnp.asarray(sum(jax.tree.map(_squared_magnitude, tree)))
        return square if squared else jnp.sqrt(square)
    sizes = jax.tree.map(jnp.abs, tree)
    if ord == 1:
        result = sum(sizes)
    elif ord in (jnp.inf, "inf", "infinity"):
        result = max(sizes)
    else:
        raise ValueError(f"ord must be None, 1, 2 or inf, found {ord!r}")
    return jnp.square(result) if squared else jnp.asarray(result)


def batch_shape(tree: PyTree, shape: tuple[int, ...] = ()) -> PyTree:
    """A tree repeated along new first axes."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (*shape, *jnp.shape(x))), tree)


def zeros_like(tree: PyTree, dtype: Any | None = None) -> PyTree:
    """A tree of zeros."""
    return jax.tree.map(lambda x: jnp.zeros_like(x, dtype=dtype), tree)


def ones_like(tree: PyTree, dtype: Any | None = None) -> PyTree:
    """A tree of ones."""
    return jax.tree.map(lambda x: jnp.ones_like(x, dtype=dtype), tree)


def full_like(tree: PyTree, fill_value: ArrayLike, dtype: Any | None = None) -> PyTree:
    """A tree filled with one number."""
    return jax.tree.map(lambda x: jnp.full_like(x, fill_value, dtype=dtype), tree)


def clip(
    tree: PyTree,
    min_value: ArrayLike | None = None,
    max_value: ArrayLike | None = None,
) -> PyTree:
    """A tree with its elements between two numbers."""
    return jax.tree.map(lambda x: jnp.clip(x, min_value, max_value), tree)


def where(condition: PyTree, tree_x: PyTree, tree_y: PyTree) -> PyTree:
    """One tree or the other."""
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), tree_x, tree_y)


def allclose(
    a: PyTree,
    b: PyTree,
    rtol: ArrayLike = 1e-5,
    atol: ArrayLike = 1e-8,
    equal_nan: bool = False,
) -> Any:
    """Whether all elements of two trees are nearly equal."""
    close = jax.tree.map(
        lambda x, y: jnp.allclose(x, y, rtol=rtol, atol=atol, equal_nan=equal_nan), a, b
    )
    return functools.reduce(operator.and_, jax.tree.leaves(close), True)


def cast(tree: PyTree, dtype: Any | None) -> PyTree:
    """A tree in another dtype; None does not change it."""
    return tree if dtype is None else jax.tree.map(lambda x: x.astype(dtype), tree)


def cast_like(tree: PyTree, other_tree: PyTree) -> PyTree:
    """A tree in the dtypes of another tree."""
    return jax.tree.map(
        lambda x, y: x.astype(y.dtype) if hasattr(y, "dtype") else x, tree, other_tree
    )


def dtype(tree: PyTree, mixed_dtype_handler: str | None = None) -> Any:
    """The dtype of a tree: the one of all, or their promotion, highest or lowest."""
    found = [jnp.asarray(leaf).dtype for leaf in jax.tree.leaves(tree)]
    if not found:
        return jnp.asarray([]).dtype
    if mixed_dtype_handler is None:
        if builtins.any(other != found[0] for other in found):
            raise ValueError(f"the leaves have several dtypes, found {found}")
        return found[0]
    if mixed_dtype_handler in ("promote", "highest"):
        return functools.reduce(jnp.promote_types, found)
    if mixed_dtype_handler != "lowest":
        raise ValueError(
            "mixed_dtype_handler must be None, 'promote', 'highest' or 'lowest', "
            f"found {mixed_dtype_handler!r}"
        )
    return functools.reduce(
        lambda x, y: y if jnp.promote_types(x, y) == x else x, found
    )


def split_key_like(rng_key: ArrayLike, target_tree: PyTree) -> PyTree:
    """A random key for each leaf of a tree."""
    structure: Any = jax.tree.structure(target_tree)
    keys: Any = jax.random.split(rng_key, structure.num_leaves)
    return jax.tree.unflatten(structure, keys)


def random_like(
    rng_key: ArrayLike,
    target_tree: PyTree,
    sampler: Callable[..., Any] = jax.random.normal,
    dtype: Any | None = None,
) -> PyTree:
    """A tree of random numbers with the shapes of another one."""
    return jax.tree.map(
        lambda leaf, key: sampler(key, leaf.shape, dtype or leaf.dtype),
        target_tree,
        split_key_like(rng_key, target_tree),
    )


def unwrap_random_key_data(input_tree: PyTree) -> PyTree:
    """A tree with random keys replaced by their data."""

    def unwrapped(x: Any) -> Any:
        is_key = isinstance(x, Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(x) if is_key else x

    return jax.tree.map(unwrapped, input_tree)


def update_moment(
    updates: PyTree, moments: PyTree, decay: ArrayLike, order: ArrayLike
) -> PyTree:
    """The next average of a power of the updates."""
    return jax.tree.map(
        lambda g, m: None if g is None else (1 - decay) * g**order + decay * m,
        updates,
        moments,
        is_leaf=_is_none,
    )


def update_infinity_moment(
    updates: PyTree, moments: PyTree, decay: ArrayLike, eps: ArrayLike
) -> PyTree:
    """The next decaying maximum of the updates' absolute values."""
    return jax.tree.map(
        lambda g, m: None if g is None else jnp.maximum(jnp.abs(g) + eps, decay * m),
        updates,
        moments,
        is_leaf=_is_none,
    )


def update_moment_per_elem_norm(
    updates: PyTree, moments: PyTree, decay: ArrayLike, order: int
) -> PyTree:
    """`update_moment` of the elements' absolute values, for complex elements."""
    sizes = jax.tree.map(lambda g: jnp.abs(g) if jnp.iscomplexobj(g) else g, updates)
    return update_moment(sizes, moments, decay, order)


def bias_correction(moment: PyTree, decay: ArrayLike, count: Array) -> PyTree:
    """An average from 0 divided by ``1 - decay**count``."""
    correction = jnp.asarray(1 - decay**count)
    return jax.tree.map(lambda m: m / correction.astype(m.dtype), moment)
