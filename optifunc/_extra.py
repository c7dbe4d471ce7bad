"""Extra arguments of updates: what a transformation needs, and what its part sees."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ._checks import check_function
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


def required_extra(update: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the extra arguments that ``update`` needs."""
    parameters = inspect.signature(update).parameters.values()
    return tuple(
        p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty
    )


# What to pass for an extra argument, and other names that users give it.
_EXAMPLES = {
    "value": ("loss", ("loss", "loss_value")),
    "grad": ("grads", ("grads", "gradient", "gradients")),
    "value_fn": ("loss_fn", ("loss_fn", "loss", "fn", "closure")),
    "grad_fn": ("jax.grad(loss_fn)", ("gradient_fn", "grads_fn")),
    "key": ("key", ("rng", "rng_key", "prng_key")),
}


def check_required(name: str, required: tuple[str, ...], extra: dict[str, Any]) -> None:
    """Check that an update gets the extra arguments that it needs.

    **Arguments:** ``name``: of the transformation.

    **Raises:** `TypeError` for one that is missing, and for a value in place of a
    function.
    """
    examples = {one: _EXAMPLES.get(one, ("...", ()))[0] for one in required}
    passed = ", ".join(f"{one}={example}" for one, example in examples.items())
    call = f"update(updates, state, params, {passed})"
    for one in required:
        if one not in extra:
            others = _EXAMPLES.get(one, ("", ()))[1]
            found = next((other for other in others if other in extra), None)
            hint = f"; found {found!r}, did you mean {one!r}?" if found else ""
            raise TypeError(f"{name} needs the argument {one!r}{hint}; call {call}")
        if one in ("value_fn", "grad_fn"):
            check_function(one, extra[one], call)
