"""Gradient transformations, and applying their updates to parameters."""

from __future__ import annotations

import abc
import dataclasses
import difflib
import functools
import inspect
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import (
    Any,
    ClassVar,
    NamedTuple,
    Self,
    TypeAlias,
    TypeVar,
    dataclass_transform,
)

import jax
import numpy as np

from ._annotations import return_type
from ._dataclass import (
    child,
    child_field_names,
    data_field_names,
    pytree_dataclass,
    static,
)
from ._extra import check_required, required_extra
from ._foreign_state import foreign_state
from ._leafwise import elementwise
from ._placement import is_shape, placed_beside, shapes_of
from ._sparse import entries, summed, with_entries
from ._stalled import warn_of_stalled_state
from ._tree import (
    PyTree,
    flatten_like,
    is_float0,
    is_sparse,
    leaves_with_names,
    params_like,
)

State: TypeAlias = PyTree
Empty: TypeAlias = tuple[()]
C = TypeVar("C", bound=type)


class Child(NamedTuple):
    """A transformation inside another one."""

    field: str  # the field that holds it
    key: Any  # its key in the field's tuple or dict; None: it is the field's value
    transformation: GradientTransformation


class GradientTransformation(abc.ABC):
    """A pure pair of functions, ``init`` and ``update``, and the numbers they use.

    A transformation is a value: a frozen dataclass (see `transformation`) that is
    also a pytree whose leaves are its numeric hyperparameters. It can be an argument
    of a jitted function, be mapped over with `jax.vmap`, be differentiated through
    with `jax.grad`, be compared and be a key of a dict. ``init, update = tx`` unpacks
    it into its two functions.

    Two base classes save work: `Stateless`, and `Wrapper` for transformations that
    hold others.
    """

    # Whether updates pass unchanged, but for what the transformations in it do to them.
    leaves_updates: ClassVar[bool] = False
    # Whether it needs the updates that are applied in the end: no later member of a
    # chain must change them.
    needs_final_updates: ClassVar[bool] = False

    @abc.abstractmethod
    def init(self, params: PyTree) -> State:
        """The state before the first update.

        **Arguments:**

        - ``params``: the parameters, a pytree of arrays, or of `jax.ShapeDtypeStruct`.

        **Returns:** a pytree of arrays, or of `jax.ShapeDtypeStruct` if the
        parameters are. State that belongs to a parameter has its shape, dtype and
        sharding; shared state is replicated over the parameters' mesh. The return
        annotation names the state's type: `update` then rejects any other state.
        """

    @abc.abstractmethod
    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        """One step.

        **Arguments:**

        - ``updates``: the gradients, or the result of the preceding
          transformation: a pytree with the structure and shapes of ``params``.
        - ``state``: what `init` or the last ``update`` returned.
        - ``params``: the current parameters, which some transformations need.
        - ``extra``: other arguments, passed on to every transformation in a chain. A
          transformation declares those that it reads (``value``, ``value_fn``) as
          keyword-only parameters and ignores the others.

        **Returns:** the updates, in the dtypes of ``updates``, to be added to
        the parameters with `apply_updates`; and the next state.

        **Raises:** `ValueError` for the state of another transformation; `TypeError`
        for an extra argument whose name is close to that of a declared one.
        """

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        yield self.init
        yield self.update

    def children(self) -> tuple[Child, ...]:
        """The transformations in the fields that are declared with `child`."""
        found: list[Child] = []
        for field in child_field_names(type(self)):
            value = getattr(self, field)
            if isinstance(value, dict):
                found += (Child(field, key, tx) for key, tx in value.items())
            elif isinstance(value, tuple):
                found += (Child(field, key, tx) for key, tx in enumerate(value))
            else:
                found.append(Child(field, None, value))
        return tuple(found)

    def state_of(self, child: Child, state: State) -> State:
        """The part of this transformation's state that belongs to a child.

        **Arguments:**

        - ``child``: one of `children`.
        - ``state``: a state of this transformation.

        **Returns:** ``state.field``, or ``state.field[key]``.
        """
        own = getattr(state, child.field)
        return own if child.key is None else own[child.key]

    def params_of(self, child: Child, params: PyTree) -> PyTree:
        """The parameters that a child sees, with None for the others.

        **Arguments:**

        - ``child``: one of `children`.
        - ``params``: the parameters that this transformation sees.

        **Returns:** ``params``, unless the transformation selects some of them.
        """
        return params

    def in_force(self, state: State) -> Self:
        """This transformation with the values of its own schedules at the next update.

        **Arguments:**

        - ``state``: a state of this transformation.

        **Returns:** a transformation of this class, without schedules.
        """
        return self

    def evaluated(self, state: State, params: PyTree) -> PyTree:
        """What to evaluate instead of the parameters that training holds.

        A transformation that keeps such parameters (such as an average)
        overrides this. Others ask the transformations that they hold; if several
        answer, the last one counts. Users call `eval_params`.

        **Arguments:**

        - ``state``: a state of this transformation.
        - ``params``: the parameters that this transformation sees.

        **Returns:** a tree like ``params``, with None for each parameter that
        is evaluated unchanged.
        """
        treedef: Any
        leaves, treedef = jax.tree.flatten(params)
        found: list[Any] = [None] * len(leaves)
        for held in self.children():
            answer = held.transformation.evaluated(
                self.state_of(held, state), self.params_of(held, params)
            )
            parts = treedef.flatten_up_to(answer)
            found = [
                part if jax.tree.leaves(part) else before
                for part, before in zip(parts, found, strict=True)
            ]
        return treedef.unflatten(found)

    def declared_extra(self) -> frozenset[str]:
        """Names of the extra arguments that ``update`` reads itself."""
        return _keyword_only(type(self))


class Stateless(GradientTransformation):
    """Base class of transformations without state, which only define `apply`.

    ::

        @of.transformation
        class scale(of.Stateless):
            factor: float

            def apply(self, updates, params=None):
                return jax.tree.map(lambda u: self.factor * u, updates)
    """

    @abc.abstractmethod
    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        """The new updates.

        **Arguments:**

        - ``updates``, ``params``: see `GradientTransformation.update`.

        **Returns:** a tree like ``updates``.
        """

    def init(self, params: PyTree) -> Empty:
        return ()

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, Empty]:
        return self.apply(updates, params), ()


@dataclass_transform(
    frozen_default=True, eq_default=False, field_specifiers=(static, child)
)
def transformation(cls: C) -> C:
    """Class decorator: a `GradientTransformation` as a value.

    The class becomes a frozen dataclass and a pytree: its fields are leaves (or trees
    of them), except those declared with `static`, which are its structure, and those
    declared with `child`, which hold other transformations::

        @of.transformation
        class scale_by_power(of.GradientTransformation):
            exponent: float = 0.5
            keep_sign: bool = of.static(True)

            def init(self, params): ...
            def update(self, updates, state, params=None, **extra): ...

    Range checks belong in ``__post_init__``, which runs when a user builds a value,
    but not when JAX rebuilds one from its leaves.

    **Arguments:**

    - ``cls``: a subclass of `GradientTransformation`.

    **Raises:** `TypeError` if it is not one.
    """
    if not issubclass(cls, GradientTransformation):
        raise TypeError(
            f"@transformation needs a subclass of GradientTransformation, found {cls}"
        )
    decorated: Any = pytree_dataclass(cls)
    _DECLARED.update(_keyword_only(decorated))
    decorated.init = _placed_init(decorated.init)
    decorated.update = _guarded_update(decorated.init, decorated.update)
    result: C = decorated
    return result


# Extra arguments that any transformation declares: a training loop may pass all of them
# to any transformation. The library's own are listed here, because its files are loaded
# late; a user's transformations add theirs.
_DECLARED: set[str] = {
    "value",
    "grad",
    "value_fn",
    "grad_fn",
    "loss",
    "key",
    "max_logits",
    "previous_grad",
    "probes",
    "sampled_grad",
}


@functools.cache
def _keyword_only(cls: Any) -> frozenset[str]:
    parameters = inspect.signature(cls.update).parameters.values()
    return frozenset(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def _all_declared(tx: GradientTransformation) -> frozenset[str]:
    """Extra arguments that ``tx`` or any transformation in it declares."""
    inner = (_all_declared(c.transformation) for c in tx.children())
    return tx.declared_extra().union(*inner)


# Whether the current `init` was called by that of an outer transformation.
_IS_INSIDE: ContextVar[bool] = ContextVar("is_inside", default=False)


def _placed_init(init: Callable[..., Any]) -> Callable[..., Any]:
    """``init`` with state placed like the parameters; shapes give shapes.

    It checks hyperparameters and warns about state that would stall.
    """

    @functools.wraps(init)
    def placed(self: Any, params: PyTree) -> State:
        check_scalars(self)
        if any(map(is_shape, jax.tree.leaves(params))):
            return shapes_of(functools.partial(init, self), params)
        if _IS_INSIDE.get():
            inner: State = init(self, params)
            return inner
        token = _IS_INSIDE.set(True)
        try:
            state = init(self, params)
        finally:
            _IS_INSIDE.reset(token)
        warn_of_stalled_state(self, state)
        return placed_beside(state, params)

    return placed


def _guarded_update(
    init: Callable[..., Any], update: Callable[..., Any]
) -> Callable[..., Any]:
    """``update`` that rejects foreign states and wrong extra arguments."""
    state_type: Any = return_type(init)
    is_named = isinstance(state_type, type) and (
        hasattr(state_type, "_fields") or dataclasses.is_dataclass(state_type)
    )
    required = required_extra(update)

    @functools.wraps(update)
    def checked(
        self: Any,
        updates: PyTree,
        state: State,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, State]:
        if is_named and type(state) is not state_type:
            raise foreign_state(self, f"a {state_type.__name__}", state)
        if state_type == Empty and (not isinstance(state, tuple) or state):
            raise foreign_state(self, "empty, ()", state)
        check_scalars(self)
        if extra.keys() - _DECLARED:
            _check_extra(self, extra)
        if required:
            check_required(type(self).__name__, required, extra)
        result: tuple[PyTree, State] = update(self, updates, state, params, **extra)
        return result

    return checked


def check_scalars(tx: GradientTransformation) -> None:
    """Check that no hyperparameter is an array with axes where a number is needed.

    **Raises:** `ValueError` that names the hyperparameter.
    """
    for name in data_field_names(type(tx)):
        value = getattr(tx, name)
        # An array may stand for a tuple of numbers.
        if _stands_for_tuple(tx, name, value):
            continue
        for leaf in value if isinstance(value, tuple) else (value,):
            if hasattr(leaf, "dtype") and np.ndim(leaf):
                raise ValueError(
                    f"{name} must be a scalar, found an array of shape "
                    f"{np.shape(leaf)}; to train with several values at once, "
                    "jax.vmap over the transformation"
                )


def _stands_for_tuple(tx: GradientTransformation, name: str, value: Any) -> bool:
    is_vector = hasattr(value, "dtype") and np.ndim(value) == 1
    return is_vector and isinstance(getattr(type(tx), name, None), tuple)


def _check_extra(tx: GradientTransformation, extra: dict[str, Any]) -> None:
    declared = _all_declared(tx)
    for name in extra.keys() - _DECLARED - declared:
        meant = difflib.get_close_matches(name, declared, n=1, cutoff=0.8)
        if meant:
            raise TypeError(
                f"update got the extra argument {name!r}, which no transformation "
                f"reads; did you mean {meant[0]!r}?"
            )


@transformation
class identity(Stateless):
    """Leave the updates unchanged: ``u = g``.

    **State:** ``()``.
    """

    leaves_updates: ClassVar[bool] = True

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        return updates


def require_params(params: PyTree | None, updates: PyTree, name: str) -> PyTree:
    """``params``, with None wherever ``updates`` has None.

    **Raises:** `ValueError` that says how to pass them to ``name``.
    """
    if params is None:
        raise ValueError(
            f"{name} needs the parameters, found params=None; "
            "call update(updates, state, params)"
        )
    return params_like(params, updates)


@elementwise(inline=True)
def _add(params: Any, updates: Any) -> Any:
    return params + updates


def apply_updates(params: PyTree, updates: PyTree) -> PyTree:
    """``params + updates``, leaf by leaf, in each parameter's own dtype.

    **Arguments:**

    - ``params``: a pytree of arrays.
    - ``updates``: a tree with the same structure and shapes. A sparse update
      (`jax.experimental.sparse.BCOO`) changes its parameter only at the update's
      indices. An update that is ``None`` leaves its parameter (or subtree) unchanged,
      as does the gradient of an integer, whose dtype is `jax.dtypes.float0`.

    **Returns:** the new parameters, with the shapes and dtypes of ``params``. The sum
    is computed in the wider of the two dtypes and rounded once.

    **Raises:** `ValueError` where structure or shapes differ, naming the leaf.
    """
    treedef: Any
    leaves, treedef = jax.tree.flatten(params)
    changes = flatten_like(updates, params, ("updates", "params"))
    dense = [None if is_sparse(u) or is_float0(u) else u for u in changes]
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
    """Add a sparse update at its own indices, or nothing where there is no update."""
    if update is None or is_float0(update):
        return param
    if update.shape != param.shape:
        raise ValueError(
            f"updates and params differ in shape at {name!r}: "
            f"{update.shape} and {param.shape}"
        )
    update = summed(update)
    return with_entries(param, update, _add(entries(param, update), update.data))
