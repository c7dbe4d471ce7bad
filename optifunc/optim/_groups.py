"""The forms of ``params``: a pytree, groups, or named parameters."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._tree import PyTree, is_sparse

Group = dict[str, Any]


def parameter_groups(params: Any) -> tuple[list[Group], bool]:
    """``params`` as a list of groups, and whether it already was one.

    A list (or tuple, or iterator) contains groups if and only if every element is a
    dict with the key ``"params"``; anything else is the pytree of a single group.

    **Raises:** `TypeError` for a set, `ValueError` if there are no parameters, and
    `KeyError` if some but not all elements of a list are groups.
    """
    if isinstance(params, Iterator):
        params = list(params)
    if isinstance(params, list | tuple) and params:
        is_group = [isinstance(x, Mapping) and "params" in x for x in params]
        if all(is_group):
            return [dict(group) for group in params], True
        if any(is_group):
            missing = is_group.index(False)
            raise KeyError(
                "every group needs the key 'params', which is missing from "
                f"params[{missing}]"
            )
    group = {"params": params}
    if not isinstance(params, set) and not jax.tree.leaves(params, is_leaf=is_sparse):
        raise ValueError("optimizer got an empty parameter list")
    return [group], False


def parameters_of(params: Any) -> tuple[PyTree, list[str] | None]:
    """A group's parameters as a pytree of arrays, and their names if they have any.

    ``(name, array)`` pairs become an `OrderedDict`, which keeps their order; a pytree's
    arrays are used as they are.

    **Raises:** `TypeError` for a set and for anything but an array of floating-point or
    complex numbers; `ValueError` if only some elements of a list have names.
    """
    if isinstance(params, set | frozenset):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but "
            "the ordering of a set changes between runs. Please use a list instead."
        )
    if isinstance(params, Iterator):
        params = list(params)
    names: list[str] | None = None
    if isinstance(params, list | tuple) and any(map(_is_named, params)):
        if not all(map(_is_named, params)):
            raise ValueError(
                "all optimizer params should be with/without names. "
                "Some param names are missing"
            )
        names = [name for name, _ in params]
        if len(set(names)) != len(names):
            raise ValueError(f"parameter names must differ, found {names}")
        params = OrderedDict(params)
    return jax.tree.map(_checked, params, is_leaf=is_sparse), names


def _is_named(element: Any) -> bool:
    return (
        isinstance(element, tuple | list)
        and len(element) == 2
        and isinstance(element[0], str)
    )


def _checked(leaf: Any) -> Any:
    if is_sparse(leaf):
        return leaf
    if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
        raise TypeError(
            "optimizer can only optimize arrays, "
            f"but one of the params is {type(leaf).__name__}; if a model holds other "
            "things too, pass only its arrays, with None elsewhere, as Equinox's "
            "eqx.filter(model, eqx.is_inexact_array) does"
        )
    if not jnp.issubdtype(leaf.dtype, jnp.inexact):
        raise TypeError(
            "optimizer can only optimize floating point or complex arrays, "
            f"but one of the params is {leaf.dtype}; pass only the others, with None "
            "in its place"
        )
    return leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf)


def check_new_group(group: Group, others: Sequence[Group], given: PyTree) -> None:
    """Check that ``group`` can be added to ``others``.

    **Arguments:** ``given``: the group's parameters as the user passed them: two are
    the same parameter if they are the same object.

    **Raises:** `ValueError` for a parameter of another group, and if only some groups
    have names; warns about a parameter that is in the group twice.
    """
    own = [id(leaf) for leaf in jax.tree.leaves(group["params"], is_leaf=is_sparse)]
    if len(own) != len(set(own)) or _repeats(given):
        warnings.warn(
            "optimizer contains a parameter group with duplicate parameters; "
            "each is updated as a separate parameter",
            UserWarning,
            stacklevel=4,
        )
    for other in others:
        if ("param_names" in group) != ("param_names" in other):
            which = "with names" if "param_names" in group else "without names"
            raise ValueError(
                "all optimizer param groups should be with/without names. "
                f"cannot add param group {which} to the optimizer"
            )
        theirs = jax.tree.leaves(other["params"], is_leaf=is_sparse)
        if not set(own).isdisjoint(map(id, theirs)):
            raise ValueError("some parameters appear in more than one parameter group")


def _repeats(given: PyTree) -> bool:
    arrays = [x for x in jax.tree.leaves(given) if isinstance(x, np.ndarray)]
    return len(arrays) != len({id(x) for x in arrays})
