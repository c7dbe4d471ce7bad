"""What a gradient transformation is, and how its updates reach the parameters."""

import abc
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, TypeVar, dataclass_transform

import jax

from ._dataclass import pytree_dataclass, static
from ._sparse import entries, summed, with_entries
from ._tree import PyTree, elementwise, flatten_like, is_sparse, leaves_with_names

State: TypeAlias = PyTree
C = TypeVar("C", bound=type)


class GradientTransformation(abc.ABC):
    """A pure pair of functions, ``init`` and ``update``, and the numbers they use.

    A transformation is a value: a frozen dataclass (see `transformation`) that is
    also a pytree whose leaves are its numeric hyperparameters. It can be an argument
    of a jitted function, be mapped over with `jax.vmap` and be differentiated through
    with `jax.grad`. ``init, update = tx`` unpacks it into its two functions.

    A transformation that holds others keeps the one in its field ``name`` together
    with that one's state in ``state.name``; several in a tuple or dict keep their
    states in a tuple or dict of the same keys. `current_hyperparameters` relies on it.
    """

    @abc.abstractmethod
    def init(self, params: PyTree) -> State:
        """The state before the first update.

        **Arguments:** ``params``: the parameters, a pytree of arrays (or of
        `jax.ShapeDtypeStruct` under `jax.eval_shape`).

        **Returns:** a pytree of arrays with the shapes, dtypes and shardings of
        ``params`` where it goes with parameters.
        """

    @abc.abstractmethod
    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        """One step.

        **Arguments:** ``updates``: the gradients, or what the transformation before
        this one made of them: a pytree with the structure and shapes of ``params``;
        ``state``: what `init` or the last ``update`` returned; ``params``: the
        current parameters, which some transformations need; ``extra``: what a
        transformation needs besides (``value``, ``value_fn``), passed on to every
        transformation in a chain.

        **Returns:** the updates, in the dtypes that came in, to be added to the
        parameters with `apply_updates`; and the next state.
        """

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        yield self.init
        yield self.update


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(static,))
def transformation(cls: C) -> C:
    """Class decorator: a `GradientTransformation` as a value.

    The class becomes a frozen dataclass and a pytree: its fields are leaves (or trees
    of them), save those declared with `static`, which are its structure::

        @of.transformation
        class scale_by_power(of.GradientTransformation):
            exponent: float = 0.5
            keep_sign: bool = of.static(True)

            def init(self, params): ...
            def update(self, updates, state, params=None, **extra): ...

    Range checks belong into ``__post_init__``, which runs where a user builds a value
    and not where JAX rebuilds one from its leaves.

    **Raises:** `TypeError` if the class is not a `GradientTransformation`.
    """
    if not issubclass(cls, GradientTransformation):
        raise TypeError(
            f"@transformation needs a subclass of GradientTransformation, found {cls}"
        )
    decorated: C = pytree_dataclass(cls)
    return decorated


@transformation
class identity(GradientTransformation):
    """Leave the updates as they are: ``u = g``."""

    def init(self, params: PyTree) -> State:
        return ()

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        return updates, state


def require_params(params: PyTree | None, name: str) -> PyTree:
    """``params``, or a `ValueError` that says how to give them to ``name``."""
    if params is None:
        raise ValueError(
            f"{name} needs the parameters, found params=None; "
            "call update(updates, state, params)"
        )
    return params


@elementwise(inline=True)
def _add(params: Any, updates: Any) -> Any:
    return params + updates


def apply_updates(params: PyTree, updates: PyTree) -> PyTree:
    """``params + updates``, leaf by leaf, in each parameter's own dtype.

    **Arguments:** ``params``: a pytree of arrays; ``updates``: a tree of the same
    structure and shapes. A sparse update (`jax.experimental.sparse.BCOO`) changes its
    parameter only at the update's indices. An update that is ``None`` leaves its
    parameter (or subtree) as it is.

    **Returns:** the new parameters: shapes and dtypes of ``params``. The sum is taken
    in the wider of the two dtypes and rounded once.

    **Raises:** `ValueError` where structure or shapes differ, naming the leaf.
    """
    treedef: Any
    leaves, treedef = jax.tree.flatten(params)
    changes = flatten_like(updates, params, ("updates", "params"))
    dense = [None if is_sparse(u) else u for u in changes]
    if all(u is not None for u in dense):
        return _add(params, updates)
    kept = treedef.unflatten(
        p if u is not None else None for p, u in zip(leaves, dense, strict=True)
    )
    moved = treedef.flatten_up_to(_add(kept, treedef.unflatten(dense)))
    return treedef.unflatten(
        new if u is not None else _add_entries(name, p, change)
        for (name, p), u, new, change in zip(
            leaves_with_names(params), dense, moved, changes, strict=True
        )
    )


def _add_entries(name: str, param: Any, update: Any) -> Any:
    """Add a sparse update at its own indices, or nothing where it is None."""
    if update is None:
        return param
    if update.shape != param.shape:
        raise ValueError(
            f"updates and params differ in shape at {name!r}: "
            f"{update.shape} and {param.shape}"
        )
    update = summed(update)
    return with_entries(param, update, _add(entries(param, update), update.data))
