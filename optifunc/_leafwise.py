"""One rule for arrays, mapped over the leaves of several trees."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ._sparse import summed, with_data
from ._tree import (
    PyTree,
    compute_dtype,
    flatten_like,
    is_sparse,
    leaf_dtype,
    leaves_with_names,
    real_dtype,
    shape_difference,
    structure_difference,
)

Rule = Callable[..., Any]


def leafwise(
    *, outputs: int = 1, static: Iterable[str] = (), inline: bool = False
) -> Callable[[Rule], Rule]:
    """Turn a rule for arrays into one for trees; this decides dtypes in one place.

    The rule's positional parameters are leaves, and its keyword-only parameters are
    scalars that all leaves share::

        @leafwise(outputs=2)
        def momentum(grad, buffer, *, decay): ...
        updates, buffers = momentum(updates, buffers, decay=0.9)

    - The rule computes in the widest dtype of its leaves, but at least float32, and
      its scalars have that dtype (or its real dtype, if it is complex).
    - Output ``i`` is rounded to the dtype of leaf ``i``.
    - All trees must have the structure of the first. ``None`` may replace a leaf of any
      other tree or a whole tree, and is passed to the rule as ``None``.
    - The rule is compiled as a separate function: leaves of the same shape and dtype
      are traced once, however many there are.

    **Arguments:**

    - ``outputs``: how many trees the rule returns (1: the tree itself).
    - ``static``: names of scalars that are Python values, known when the rule is
      traced.
    - ``inline``: write the rule's operations into the caller's program, which compiles
      faster than a call if there are only one or two.
    """
    return partial(_over_trees, outputs, frozenset(static), inline, _as_tuple, False)


def elementwise(
    *, outputs: int = 1, static: Iterable[str] = (), inline: bool = False
) -> Callable[[Rule], Rule]:
    """`leafwise` for a rule that treats each element of a leaf independently.

    - All leaves of a row must have the same shape.
    - A complex leaf is a pair of real ones, as in torch: the rule sees its real and
      imaginary parts stacked along a new first axis. A static parameter ``by_modulus``
      is passed to the rule unchanged for these, and as False for real leaves.
    - A rule of one leaf that maps 0 to 0 also works for sparse leaves. Entries with the
      same indices are summed first, because the rule may be nonlinear.

    **Arguments:**

    - ``outputs``, ``static``, ``inline``: see `leafwise`.
    """
    return partial(_over_trees, outputs, frozenset(static), inline, _in_pairs, True)


def _as_tuple(
    rule: Rule, leaves: list[Any], scalars: dict[str, Any]
) -> tuple[Any, ...]:
    """The rule's results as a tuple."""
    results = rule(*leaves, **scalars)
    return results if isinstance(results, tuple) else (results,)


def _in_pairs(
    rule: Rule, leaves: list[Any], scalars: dict[str, Any]
) -> tuple[Any, ...]:
    """The rule's results, with complex leaves treated as pairs of real ones."""
    if not jnp.iscomplexobj(leaves[0]):
        if "by_modulus" in scalars:
            scalars = {**scalars, "by_modulus": False}
        return _as_tuple(rule, leaves, scalars)
    pairs = [None if x is None else jnp.stack([x.real, x.imag]) for x in leaves]
    results = _as_tuple(rule, pairs, scalars)
    return tuple(None if x is None else lax.complex(x[0], x[1]) for x in results)


def _over_trees(
    outputs: int,
    static: frozenset[str],
    inline: bool,
    call: Callable[..., tuple[Any, ...]],
    by_element: bool,
    rule: Rule,
) -> Rule:
    """The function of trees that `leafwise` and `elementwise` make from ``rule``."""
    parameters = inspect.signature(rule).parameters.values()
    names = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]

    def leaf_rule(*leaves: Any, **scalars: Any) -> tuple[Array, ...]:
        dtypes = _dtypes(leaves)
        dtype = compute_dtype(*dtypes)
        results = call(rule, [_cast(x, dtype) for x in leaves], scalars)
        return tuple(_cast(x, d) for x, d in zip(results, dtypes, strict=False))

    leaf_rule.__name__ = leaf_rule.__qualname__ = rule.__name__.lstrip("_")
    compiled = jax.jit(leaf_rule, static_argnames=tuple(static), inline=inline)

    def tree_rule(first: PyTree, *rest: PyTree, **scalars: Any) -> Any:
        for name in scalars.keys() - static:
            _check_scalar(name, scalars[name])
        rows, treedef = _rows((first, *rest), names)
        if by_element and any(map(_differ_in_shape, rows)):
            raise shape_difference((first, *rest), names)
        # Rounded here, once for all leaves of a dtype.
        rounded = cache(partial(_rounded, scalars, static))
        results = [
            _on_row(compiled, row, rounded(*_dtypes(row)), by_element) for row in rows
        ]
        trees = tuple(
            None if tree is None else treedef.unflatten(row[i] for row in results)
            for i, tree in enumerate((first, *rest)[:outputs])
        )
        return trees if outputs > 1 else trees[0]

    tree_rule.__name__ = tree_rule.__qualname__ = rule.__name__
    tree_rule.__doc__ = rule.__doc__
    return tree_rule


def _rows(
    trees: Sequence[PyTree], names: Sequence[str]
) -> tuple[list[tuple[Any, ...]], Any]:
    """The leaves of all trees for each leaf of the first, and the first's structure."""
    leaves, treedef = jax.tree.flatten(trees[0], is_leaf=is_sparse)
    columns = [leaves]
    for name, tree in zip(names[1:], trees[1:], strict=True):
        columns.append(
            [None] * len(leaves)
            if tree is None
            else _column(tree, trees[0], (name, names[0]))
        )
    for leaf in leaves:
        if not _is_differentiable(leaf_dtype(leaf)):
            raise _not_differentiable(trees[0], names[0])
    return list(zip(*columns, strict=True)), treedef


def _column(tree: PyTree, first: PyTree, names: tuple[str, str]) -> list[Any]:
    """The subtrees of ``tree`` at the leaves of ``first``."""
    try:
        return flatten_like(tree, first, names)
    except ValueError as error:
        # If the updates do not fit the state, it is the updates that are wrong.
        if names[1] != "updates" or names[0] == "params":
            raise
        swapped = ("updates", f"the state's {names[0]}")
        raise ValueError(structure_difference(first, tree, swapped)) from error


def _differ_in_shape(row: tuple[Any, ...]) -> bool:
    shape = np.shape(row[0])
    return any(x is not None and np.shape(x) != shape for x in row[1:])


def _on_row(
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


def _dtypes(row: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(None if x is None else leaf_dtype(x) for x in row)


def _rounded(
    scalars: dict[str, Any], static: frozenset[str], *dtypes: Any
) -> dict[str, Any]:
    """``scalars`` in the real dtype that leaves of ``dtypes`` are computed in."""
    dtype = real_dtype(compute_dtype(*dtypes))
    return {
        name: value if name in static else _cast(value, dtype)
        for name, value in scalars.items()
    }


def _cast(leaf: Any, dtype: Any) -> Any:
    return None if leaf is None else lax.convert_element_type(leaf, dtype)


@cache
def _is_differentiable(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jnp.inexact))


def _check_scalar(name: str, value: Any) -> None:
    if callable(value):
        raise TypeError(
            f"{name} is a schedule, {value!r}, but a value is needed: wrap the "
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
        if not _is_differentiable(dtype := leaf_dtype(leaf))
    )
    return TypeError(
        f"{name} must be floating point or complex, found {dtype} at {path!r}; "
        "leave such leaves out with masked or partition"
    )
