"""Extra arguments for a transformation that sees other trees than the parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ._tree import PyTree, is_sparse

# optax's names for the loss, or for a function that returns it.
LOSSES = frozenset({"value", "value_fn"})


def adapted_extra(
    extra: dict[str, Any],
    params: PyTree,
    restrict: Callable[[PyTree], PyTree],
    restore: Callable[[PyTree], PyTree],
) -> dict[str, Any]:
    """Extra arguments as they are for a part of the parameters.

    A tree like the parameters (``grad``) is restricted to the part. A function of
    the parameters (``value_fn``, ``grad_fn``) becomes a function of the part, with the
    rest held constant, and its result is restricted in the same way. Anything else,
    such as a loss or a key, is unchanged.

    **Arguments:**

    - ``extra``: the extra arguments by name.
    - ``params``: the whole tree.
    - ``restrict``: makes the part of a whole tree.
    - ``restore``: makes the whole tree of a part.
    """

    def restricted(value: Any, is_loss: bool) -> Any:
        if type(value) is tuple:
            return tuple(restricted(x, i == 0) for i, x in enumerate(value))
        # The parameters may be one number, as a loss is.
        is_number = is_loss and np.shape(value) == ()
        return restrict(value) if is_like(value, params) and not is_number else value

    def adapted(value: Any, is_loss: bool) -> Any:
        # A tree may also be callable (a module); a function has no leaves.
        if not callable(value) or not jax.tree_util.all_leaves([value]):
            return restricted(value, is_loss)

        # Its signature says which other arguments it takes.
        @functools.wraps(value, assigned=(), updated=())
        def of_part(part: PyTree, *args: Any, **kwargs: Any) -> Any:
            return restricted(value(restore(part), *args, **kwargs), is_loss)

        return of_part

    return {name: adapted(value, name in LOSSES) for name, value in extra.items()}


def is_like(tree: Any, params: PyTree) -> bool:
    """Whether ``tree`` has the structure and the shapes of ``params``."""
    structure: Any
    leaves, structure = jax.tree.flatten(tree, is_leaf=is_sparse)
    wanted, wanted_structure = jax.tree.flatten(params, is_leaf=is_sparse)
    return structure == wanted_structure and all(
        np.shape(x) == np.shape(y) for x, y in zip(leaves, wanted, strict=True)
    )
