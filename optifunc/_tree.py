"""Pytrees: names of leaves, checks of structure, dtypes, norms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ._boxes import box_attribute
from ._collectives import AxisName, total_over_devices
from ._numerics import sqrt
from ._sparse import is_sparse as is_sparse, summed

PyTree: TypeAlias = Any
T = TypeVar("T")


def path_name(path: Sequence[Any]) -> str:
    """A leaf's path as the user writes it: ``"encoder.0.kernel"``."""
    return jax.tree_util.keystr(tuple(path), simple=True, separator=".")


def leaves_with_paths(tree: PyTree) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The leaves of ``tree``, each with its path.

    A box, such as flax.nnx's Variable, and the array in it have the same path: a
    leaf must have the same name in ``init`` and ``update``, but nnx passes boxes to one
    and plain arrays to the other.
    """

    def is_leaf(node: object) -> bool:
        return is_sparse(node) or box_attribute(type(node)) is not None

    for path, node in jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_leaf):
        # The type is reliable; a key "value" may be the user's own field.
        attribute = box_attribute(type(node))
        if attribute is None or jax.tree_util.all_leaves([node]):
            yield path, node
            continue
        for key, child in _children(node):
            is_content = path_name(key) == attribute or (
                # The node's class does not name its children.
                isinstance(key[0], jax.tree_util.FlattenedIndexKey)
                and child is getattr(node, attribute, None)
            )
            for inner, leaf in leaves_with_paths(child):
                yield path + (() if is_content else key) + inner, leaf


def _children(node: object) -> list[tuple[tuple[Any, ...], Any]]:
    """The direct children of a node, each with a path of one key."""
    return jax.tree_util.tree_leaves_with_path(
        node, is_leaf=lambda child: child is not node
    )


def leaves_with_names(tree: PyTree) -> Iterator[tuple[str, Any]]:
    """The leaves of ``tree``, each with its dotted path."""
    for path, leaf in leaves_with_paths(tree):
        yield path_name(path), leaf


def flatten_like(tree: PyTree, reference: PyTree, names: tuple[str, str]) -> list[Any]:
    """The subtrees of ``tree`` at the leaves of ``reference``.

    **Raises:** `ValueError` that names the first place where the structures differ;
    ``names`` are the names of the two trees.
    """
    treedef: Any = jax.tree.structure(reference, is_leaf=is_sparse)
    try:
        return list(treedef.flatten_up_to(tree))
    except (ValueError, TypeError) as error:
        raise ValueError(structure_difference(tree, reference, names)) from error


def structure_difference(
    tree: PyTree, reference: PyTree, names: tuple[str, str]
) -> str:
    """A message that names the first places where the structures differ."""
    found = dict(leaves_with_names(tree))
    expected = dict(leaves_with_names(reference))
    missing = [name for name in expected if name not in found]
    surplus = [name for name in found if name not in expected]
    parts = [f"{names[0]} must have the structure of {names[1]}"]
    if missing:
        parts.append(f"{names[0]} has no leaf at {listed(missing)}")
    if surplus:
        parts.append(f"{names[1]} has no leaf at {listed(surplus)}")
    if not missing and not surplus:
        found_structure, expected_structure = map(jax.tree.structure, (tree, reference))
        parts.append(f"found {found_structure}, expected {expected_structure}")
    for name, pair, other in ((names[0], tree, reference), (names[1], reference, tree)):
        if _is_pair_with(pair, other):
            parts.append(
                f"{name} is a pair, like (loss, grads) from jax.value_and_grad; pass "
                "its second element"
            )
    return "; ".join(parts)


def _is_pair_with(pair: PyTree, other: PyTree) -> bool:
    """Whether ``pair`` is a pair of a scalar and a tree like ``other``."""
    structure: Any = jax.tree.structure(other)
    return (
        type(pair) is tuple
        and len(pair) == 2
        and is_array(pair[0])
        and np.shape(pair[0]) == ()
        and jax.tree.structure(pair[1]) == structure
    )


def params_like(params: PyTree, updates: PyTree) -> PyTree:
    """``params`` with None wherever ``updates`` has None.

    An Equinox model holds functions where its gradients are None. Other differences
    in structure are left for the caller to report.
    """
    treedef: Any = jax.tree.structure(params)
    if treedef == jax.tree.structure(updates):
        return params

    def is_leaf(node: Any) -> bool:
        return node is None or is_sparse(node)

    changes, treedef = jax.tree.flatten(updates, is_leaf=is_leaf)
    try:
        parts = treedef.flatten_up_to(params)
    except (ValueError, TypeError):
        return params
    pairs = zip(parts, changes, strict=True)
    return treedef.unflatten(p if u is not None else None for p, u in pairs)


def with_defaults(tree: PyTree, defaults: PyTree) -> PyTree:
    """``tree``, with the leaf of ``defaults`` wherever it has None."""
    treedef: Any
    leaves, treedef = jax.tree.flatten(defaults)
    parts = treedef.flatten_up_to(tree)
    return treedef.unflatten(
        default if part is None else part
        for part, default in zip(parts, leaves, strict=True)
    )


def select(condition: Array, new: T, old: T) -> T:
    """``new`` where the scalar ``condition`` holds, else ``old``: for whole trees."""
    chosen: T = jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
    return chosen


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first few of ``names``, for a message."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


@cache
def compute_dtype(*dtypes: Any) -> Any:
    """The dtype to compute in: the widest of ``dtypes``, and at least float32.

    A dtype that is None, such as that of a leaf that is None, does not count.
    """
    # Requested explicitly, whatever the user has set for the program.
    with jax.numpy_dtype_promotion("standard"):
        widest: Any = np.float32
        for dtype in filter(None, dtypes):
            widest = jnp.promote_types(widest, dtype)
        return widest


@cache
def real_dtype(dtype: Any) -> Any:
    """The dtype of the real part of a number of ``dtype``."""
    return np.dtype(jnp.finfo(dtype).dtype)


def _values(leaf: Any) -> Any:
    return leaf.data if is_sparse(leaf) else leaf


def leaf_dtype(leaf: Any) -> Any:
    """The dtype of a leaf, dense or sparse."""
    # The first case is only for speed.
    return leaf.dtype if isinstance(leaf, Array) else jnp.result_type(_values(leaf))


def is_float0(leaf: Any) -> bool:
    """Whether ``leaf`` is `jax.grad`'s gradient of an integer, which has no value."""
    return bool(getattr(leaf, "dtype", None) == jax.dtypes.float0)


def is_array(leaf: Any) -> bool:
    """Whether ``leaf`` is an array or a number."""
    return hasattr(leaf, "dtype") or isinstance(leaf, complex | float | int)


def check_array(path: str, leaf: Any) -> None:
    """Check one leaf of parameters.

    **Raises:** `TypeError` that names it, if it is not an array.
    """
    if not is_array(leaf):
        raise TypeError(
            f"parameters must be arrays, found {leaf!r} at {path!r}; pass only the "
            "arrays, with None elsewhere, as Equinox's "
            "eqx.filter(model, eqx.is_inexact_array) does"
        )


def check_real(tree: PyTree, names: tuple[str, str]) -> None:
    """Check that every leaf is a real floating-point number.

    **Raises:** `TypeError` that names the first other leaf; ``names`` are the names
    of the caller and of the tree.
    """
    for path, leaf in leaves_with_names(tree):
        check_array(path, leaf)
        dtype = leaf_dtype(leaf)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(
                f"{names[0]} takes only real floating-point {names[1]}, "
                f"found {dtype} at {path!r}"
            )


def check_inexact(tree: PyTree, name: str) -> None:
    """Check that every leaf is a floating-point or complex number.

    **Raises:** `TypeError` that names the first one that is not; ``name`` is the
    name of the tree.
    """
    for path, leaf in leaves_with_names(tree):
        check_array(path, leaf)
        dtype = leaf_dtype(leaf)
        if not jnp.issubdtype(dtype, jnp.inexact):
            raise TypeError(
                f"{name} must be floating point or complex, found {dtype} at "
                f"{path!r}; leave such leaves out with partition"
            )


def check_shapes(tree: PyTree, reference: PyTree, names: tuple[str, str]) -> None:
    """Check that two trees have the same structure and the same shapes.

    **Raises:** `ValueError` that names the first leaf where they differ; ``names`` are
    the names of the two trees.
    """
    leaves = jax.tree.leaves(tree, is_leaf=is_sparse)
    others = flatten_like(reference, tree, (names[1], names[0]))
    if any(np.shape(x) != np.shape(y) for x, y in zip(leaves, others, strict=True)):
        raise shape_difference((tree, reference), names)


def shape_difference(trees: Sequence[PyTree], names: Sequence[str]) -> ValueError:
    """An error that names the first leaf where trees of equal structure differ."""
    paths, leaves = zip(*leaves_with_names(trees[0]), strict=True)
    for name, tree in zip(names[1:], trees[1:], strict=True):
        if tree is None:
            continue
        others = flatten_like(tree, trees[0], (name, names[0]))
        for path, leaf, other in zip(paths, leaves, others, strict=True):
            if other is not None and np.shape(leaf) != np.shape(other):
                return ValueError(
                    f"{names[0]} and {name} differ in shape at {path!r}: "
                    f"{np.shape(leaf)} and {np.shape(other)}"
                )
    raise AssertionError("no difference in shape")


def squared_norm(leaf: Any) -> Array:
    """Sum of squared magnitudes of one leaf, accumulated in at least float32."""
    values = jnp.asarray(summed(leaf).data if is_sparse(leaf) else leaf)
    if jnp.iscomplexobj(values):
        return squared_norm(values.real) + squared_norm(values.imag)
    values = lax.convert_element_type(values, compute_dtype(values.dtype))
    return jnp.sum(values * values)


def global_norm(tree: PyTree, axis_name: AxisName = None) -> Array:
    """The Euclidean norm of all elements of all leaves of ``tree`` together.

    Arrays sharded over a mesh count as whole arrays. Inside `jax.shard_map` and
    `jax.pmap`, a leaf is one device's part, and the norm is that of the part unless
    ``axis_name`` is given.

    **Arguments:**

    - ``tree``: a pytree of arrays, dense or sparse, real or complex.
    - ``axis_name``: inside `jax.shard_map` or `jax.pmap`, the name of the axis, or a
      tuple of names, over which the leaves are split. A leaf that is the same on all
      devices, according to its type, counts once (except in `jax.pmap` and with
      ``check_vma=False``, where every leaf counts as split).

    **Returns:** a real scalar in the widest enabled float dtype; 0 for a tree without
    leaves. Its derivative at 0 is 0.

    **Raises:** `NameError` if there is no axis of that name.
    """
    leaves = jax.tree.leaves(tree, is_leaf=is_sparse)
    return sqrt(total_over_devices(map(squared_norm, leaves), axis_name))


def inner_product(first: PyTree, second: PyTree) -> Array:
    """The sum of the products of all elements of two trees.

    Real and imaginary parts are treated as separate elements. ``second`` may have None
    where ``first`` has a leaf, which is then left out.

    **Returns:** a real scalar in the widest enabled float dtype; 0 for trees without
    leaves.
    """
    others = flatten_like(second, first, ("the second tree", "the first"))
    pairs = zip(jax.tree.leaves(first), others, strict=True)
    products = (_leaf_product(x, y) for x, y in pairs if y is not None)
    return total_over_devices(products, None)


def _leaf_product(x: Any, y: Any) -> Array:
    if jnp.iscomplexobj(x):
        return _leaf_product(x.real, y.real) + _leaf_product(x.imag, y.imag)
    dtype = compute_dtype(leaf_dtype(x), leaf_dtype(y))
    x, y = (lax.convert_element_type(values, dtype) for values in (x, y))
    return jnp.sum(x * y)


def sum_norm(tree: PyTree) -> Array:
    """The sum of the absolute values of all elements of all leaves of ``tree``.

    Real and imaginary parts are treated as separate elements.

    **Returns:** a real scalar in the widest enabled float dtype; 0 for a tree without
    leaves.
    """
    return total_over_devices(map(_sum_of_sizes, jax.tree.leaves(tree)), None)


def _sum_of_sizes(x: Any) -> Array:
    if jnp.iscomplexobj(x):
        return _sum_of_sizes(x.real) + _sum_of_sizes(x.imag)
    return jnp.sum(jnp.abs(lax.convert_element_type(x, compute_dtype(leaf_dtype(x)))))
