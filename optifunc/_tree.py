"""Pytree arithmetic: one rule mapped over the leaves of several trees."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.experimental.sparse import BCOO

from ._boxes import box_attribute
from ._numerics import sqrt
from ._sparse import summed, with_data

PyTree: TypeAlias = Any


def is_sparse(leaf: object) -> bool:
    """Whether ``leaf`` is a sparse array, which counts as one leaf of a tree."""
    return isinstance(leaf, BCOO)


def path_name(path: Sequence[Any]) -> str:
    """A leaf's path as the user writes it: ``"encoder.0.kernel"``."""
    return jax.tree_util.keystr(tuple(path), simple=True, separator=".")


def leaves_with_paths(tree: PyTree) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The leaves of ``tree``, each with its path.

    A box, such as a Variable of flax.nnx, and the array in it have one path: a leaf
    must have the same name in ``init`` and ``update``, and nnx gives the boxes to one
    and the arrays alone to the other.
    """

    def is_leaf(node: object) -> bool:
        return is_sparse(node) or box_attribute(type(node)) is not None

    for path, node in jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_leaf):
        # The type tells exactly: a key "value" may be a field of the user's own.
        attribute = box_attribute(type(node))
        if attribute is None or jax.tree_util.all_leaves([node]):
            yield path, node
            continue
        for key, child in _children(node):
            is_content = path_name(key) == attribute or (
                # The node's class gives its children no names.
                isinstance(key[0], jax.tree_util.FlattenedIndexKey)
                and child is getattr(node, attribute, None)
            )
            for inner, leaf in leaves_with_paths(child):
                yield path + (() if is_content else key) + inner, leaf


def _children(node: object) -> list[tuple[tuple[Any, ...], Any]]:
    """What a node holds directly, each with a path of one key."""
    return jax.tree_util.tree_leaves_with_path(
        node, is_leaf=lambda child: child is not node
    )


def leaves_with_names(tree: PyTree) -> Iterator[tuple[str, Any]]:
    """The leaves of ``tree``, each with its dotted path."""
    for path, leaf in leaves_with_paths(tree):
        yield path_name(path), leaf


def flatten_like(tree: PyTree, reference: PyTree, names: tuple[str, str]) -> list[Any]:
    """The subtrees of ``tree`` that stand where ``reference`` has leaves.

    **Raises:** `ValueError` that names the first place where the structures differ;
    ``names`` says what to call the two trees.
    """
    treedef: Any = jax.tree.structure(reference, is_leaf=is_sparse)
    try:
        return list(treedef.flatten_up_to(tree))
    except (ValueError, TypeError) as error:
        raise ValueError(_structure_difference(tree, reference, names)) from error


def _structure_difference(
    tree: PyTree, reference: PyTree, names: tuple[str, str]
) -> str:
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
    return "; ".join(parts)


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first few of ``names``, for a message."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


@cache
def compute_dtype(*dtypes: Any) -> Any:
    """The dtype to compute in: the widest of ``dtypes``, and at least float32.

    A dtype that is None, as of a leaf that is None, does not count.
    """
    # Asked for here, whatever the user has set for the program.
    with jax.numpy_dtype_promotion("standard"):
        widest: Any = np.float32
        for dtype in filter(None, dtypes):
            widest = jnp.promote_types(widest, dtype)
        return widest


@cache
def real_dtype(dtype: Any) -> Any:
    """The dtype of the real part of a number of ``dtype``."""
    return np.dtype(jnp.finfo(dtype).dtype)


@cache
def _is_differentiable(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jnp.inexact))


class leafwise:
    """Make a rule for arrays one for trees of arrays; decides the dtypes in one place.

    The rule's positional parameters are leaves, its keyword-only parameters scalars
    common to all of them::

        @leafwise(outputs=2)
        def momentum(grad, buffer, *, decay): ...
        updates, buffers = momentum(updates, buffers, decay=0.9)

    - The rule computes in the widest dtype of its leaves and at least in float32, and
      its scalars arrive in that dtype (in its real dtype, where that is complex).
    - Output ``i`` is rounded to the dtype of leaf ``i``.
    - All trees must have the structure of the first. ``None`` may stand for a leaf of
      any other tree or for the whole of it, and reaches the rule as ``None``.
    - The rule is compiled as a function of its own: leaves of one shape and dtype are
      traced once, however many there are.

    **Arguments:** ``outputs``: how many trees the rule returns (1: the tree itself);
    ``static``: names of scalars that are Python values, known when the rule is traced;
    ``inline``: write the rule's operations into the caller's program, which compiles
    sooner than a call where they are one or two.
    """

    same_shape = False

    def __init__(
        self, *, outputs: int = 1, static: Iterable[str] = (), inline: bool = False
    ) -> None:
        self.outputs = outputs
        self.static = frozenset(static)
        self.inline = inline

    def __call__(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        parameters = inspect.signature(rule).parameters.values()
        names = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        outputs, static, same_shape = self.outputs, self.static, self.same_shape
        call_rule = self._call_rule

        def leaf_rule(*leaves: Any, **scalars: Any) -> tuple[Array, ...]:
            dtypes = _dtypes(leaves)
            dtype = compute_dtype(*dtypes)
            results = call_rule(rule, [_cast(x, dtype) for x in leaves], scalars)
            return tuple(_cast(x, d) for x, d in zip(results, dtypes, strict=False))

        leaf_rule.__name__ = leaf_rule.__qualname__ = rule.__name__.lstrip("_")
        compiled = jax.jit(leaf_rule, static_argnames=tuple(static), inline=self.inline)

        def tree_rule(first: PyTree, *rest: PyTree, **scalars: Any) -> Any:
            treedef: Any
            for name in scalars.keys() - static:
                _check_scalar(name, scalars[name])
            leaves, treedef = jax.tree.flatten(first, is_leaf=is_sparse)
            columns = [leaves]
            for name, tree in zip(names[1:], rest, strict=True):
                columns.append(
                    [None] * len(leaves)
                    if tree is None
                    else flatten_like(tree, first, (name, names[0]))
                )
            for leaf in leaves:
                if not _is_differentiable(_dtype(leaf)):
                    raise _not_differentiable(first, names[0])
            if same_shape and any(
                x is not None and np.shape(x) != np.shape(row[0])
                for row in zip(*columns, strict=True)
                for x in row[1:]
            ):
                raise _shape_difference((first, *rest), names)
            # Rounded here, once for all leaves of a dtype.
            rounded = cache(partial(_rounded, scalars, static))
            rows = [
                _apply(compiled, row, rounded(*_dtypes(row)), same_shape)
                for row in zip(*columns, strict=True)
            ]
            trees = tuple(
                None if tree is None else treedef.unflatten(row[i] for row in rows)
                for i, tree in enumerate((first, *rest)[:outputs])
            )
            return trees if outputs > 1 else trees[0]

        tree_rule.__name__ = tree_rule.__qualname__ = rule.__name__
        tree_rule.__doc__ = rule.__doc__
        return tree_rule

    @staticmethod
    def _call_rule(
        rule: Callable[..., Any], leaves: list[Any], scalars: dict[str, Any]
    ) -> tuple[Any, ...]:
        results = rule(*leaves, **scalars)
        return results if isinstance(results, tuple) else (results,)


class elementwise(leafwise):
    """`leafwise` for a rule that treats each element of a leaf by itself.

    - All leaves of a row must have one shape.
    - A complex leaf is a pair of real ones, as in torch: the rule sees its real and
      imaginary parts stacked along a new first axis.
    - A rule of one leaf that maps 0 to 0 also serves sparse leaves; entries with the
      same indices are summed first, as the rule need not be linear.
    """

    same_shape = True

    @staticmethod
    def _call_rule(
        rule: Callable[..., Any], leaves: list[Any], scalars: dict[str, Any]
    ) -> tuple[Any, ...]:
        is_complex = jnp.iscomplexobj(leaves[0])
        if is_complex:
            leaves = [
                None if x is None else jnp.stack([x.real, x.imag]) for x in leaves
            ]
        results = leafwise._call_rule(rule, leaves, scalars)
        if is_complex:
            results = tuple(
                None if x is None else lax.complex(x[0], x[1]) for x in results
            )
        return results


def _values(leaf: Any) -> Any:
    return leaf.data if is_sparse(leaf) else leaf


def _dtype(leaf: Any) -> Any:
    # The first case is for speed alone.
    return leaf.dtype if isinstance(leaf, Array) else jnp.result_type(_values(leaf))


def _dtypes(row: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(None if x is None else _dtype(x) for x in row)


def _rounded(
    scalars: dict[str, Any], static: frozenset[str], *dtypes: Any
) -> dict[str, Any]:
    """``scalars`` in the real dtype that leaves of ``dtypes`` are computed in."""
    dtype = real_dtype(compute_dtype(*dtypes))
    return {
        name: value if name in static else _cast(value, dtype)
        for name, value in scalars.items()
    }


def _apply(
    compiled: Callable[..., tuple[Array, ...]],
    row: tuple[Any, ...],
    scalars: Any,
    by_element: bool,
) -> tuple[Any, ...]:
    first = row[0]
    if not is_sparse(first):
        return compiled(*row, **scalars)
    if len(row) > 1 or not by_element:
        raise TypeError(
            f"a sparse gradient of shape {first.shape} met a rule for dense ones; "
            "only sparse_adam takes sparse gradients (use partition to give it the "
            "sparse leaves and the others a dense optimizer)"
        )
    first = summed(first)
    (data,) = compiled(first.data, **scalars)
    return (with_data(first, data),)


def _cast(leaf: Any, dtype: Any) -> Any:
    return None if leaf is None else lax.convert_element_type(leaf, dtype)


def _check_scalar(name: str, value: Any) -> None:
    if callable(value):
        raise TypeError(
            f"{name} is a schedule, {value!r}, where a value is needed: wrap the "
            "transformation in scheduled(...) or put it into a chain"
        )
    if np.shape(value) != ():
        raise ValueError(
            f"{name} must be a scalar, found an array of shape {np.shape(value)}; "
            "to train with several values at once, jax.vmap over the transformation"
        )


def _not_differentiable(tree: PyTree, name: str) -> TypeError:
    path, dtype = next(
        (path, dtype)
        for path, leaf in leaves_with_names(tree)
        if not _is_differentiable(dtype := _dtype(leaf))
    )
    return TypeError(
        f"{name} must be floating point or complex, found {dtype} at {path!r}; "
        "leave such leaves out with masked or partition"
    )


def check_real(tree: PyTree, names: tuple[str, str]) -> None:
    """Check that every leaf is a real floating-point number.

    **Raises:** `TypeError` that names the first such leaf; ``names`` says what to call
    the one who asks, and the tree.
    """
    for path, leaf in leaves_with_names(tree):
        dtype = _dtype(leaf)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(
                f"{names[0]} takes only real floating-point {names[1]}, "
                f"found {dtype} at {path!r}"
            )


def check_shapes(tree: PyTree, reference: PyTree, names: tuple[str, str]) -> None:
    """Check that two trees have one structure and the same shapes.

    **Raises:** `ValueError` that names the first leaf where they differ; ``names``
    says what to call the two trees.
    """
    leaves = jax.tree.leaves(tree, is_leaf=is_sparse)
    others = flatten_like(reference, tree, (names[1], names[0]))
    if any(np.shape(x) != np.shape(y) for x, y in zip(leaves, others, strict=True)):
        raise _shape_difference((tree, reference), names)


def _shape_difference(trees: Sequence[PyTree], names: Sequence[str]) -> ValueError:
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


def full_like(tree: PyTree, value: Any, *, both_parts: bool = False) -> PyTree:
    """A tree like ``tree`` filled with ``value``; keeps shape, dtype and sharding.

    With ``both_parts`` also the imaginary parts of complex leaves are ``value``.
    """

    def fill(leaf: Any) -> Array:
        dtype = jnp.result_type(leaf)
        if both_parts and jnp.issubdtype(dtype, jnp.complexfloating):
            part = lax.convert_element_type(value, real_dtype(dtype))
            filled = lax.full_like(leaf, lax.complex(part, part), dtype)
        else:
            filled = lax.full_like(leaf, lax.convert_element_type(value, dtype), dtype)
        # A scalar leaf may have become ``value`` itself, and be donated some day.
        return jnp.array(filled, copy=True) if filled.ndim == 0 else filled

    return jax.tree.map(fill, tree, is_leaf=is_sparse)


def zeros_like(tree: PyTree) -> PyTree:
    """A tree of zeros with the shapes, dtypes and shardings of ``tree``."""
    return full_like(tree, 0)


def squared_norm(leaf: Any) -> Array:
    """Sum of squared magnitudes of one leaf, accumulated in float32 at least."""
    values = jnp.asarray(summed(leaf).data if is_sparse(leaf) else leaf)
    if jnp.iscomplexobj(values):
        return squared_norm(values.real) + squared_norm(values.imag)
    values = lax.convert_element_type(values, compute_dtype(values.dtype))
    return jnp.sum(values * values)


def global_norm(tree: PyTree) -> Array:
    """The Euclidean norm of all elements of all leaves of ``tree`` together.

    **Returns:** a real scalar in the widest float that JAX is set to; 0 for a tree
    without leaves. Its derivative at 0 is 0.
    """
    dtype = jnp.result_type(float)
    squares = [
        lax.convert_element_type(squared_norm(leaf), dtype)
        for leaf in jax.tree.leaves(tree, is_leaf=is_sparse)
    ]
    return sqrt(sum(squares, start=jnp.zeros((), dtype)))
