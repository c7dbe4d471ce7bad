"""Small leaves joined into one vector."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property, partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.tree_util import PyTreeDef

from .._checks import check_integer
from .._dataclass import child, pytree_dataclass, static
from .._extra import adapted_extra
from .._placement import laid_like, replicated_beside, whole
from .._state import Field, RelaidState, map_state, parts_of
from .._transformation import GradientTransformation, State, transformation
from .._tree import (
    PyTree,
    check_shapes,
    flatten_like,
    is_sparse,
    leaf_dtype,
    leaves_with_names,
    params_like,
    with_defaults,
)
from ._quantized import quantized
from ._wrapper import Wrapper, transformations_in


@dataclasses.dataclass(frozen=True)
class Layout:
    """Which leaves of a tree are joined, and into which vector."""

    treedef: PyTreeDef
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[np.dtype[Any], ...]
    max_size: int | None

    @classmethod
    def of(cls, tree: PyTree, max_size: int | None) -> Layout:
        leaves, treedef = jax.tree.flatten(tree, is_leaf=is_sparse)
        shapes = tuple(map(np.shape, leaves))
        return cls(treedef, shapes, tuple(map(leaf_dtype, leaves)), max_size)

    def __repr__(self) -> str:
        return f"Layout({len(self.shapes)} leaves, max_size={self.max_size})"

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy of a structure differs from it if it contains an Equinox module.
        return Layout.of, (self.tree, self.max_size)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.treedef, self.shapes, self.dtypes, self.max_size))

    @cached_property
    def places(self) -> dict[str, list[int]]:
        """The positions of the leaves in each vector, by the vector's dtype."""
        found: dict[str, list[int]] = {}
        for place, (shape, dtype) in enumerate(
            zip(self.shapes, self.dtypes, strict=True)
        ):
            if self.max_size is None or np.prod(shape, dtype=int) <= self.max_size:
                found.setdefault(dtype.name, []).append(place)
        return found

    @cached_property
    def tree(self) -> PyTree:
        """The tree of shapes and dtypes that has this layout."""
        leaves = map(jax.ShapeDtypeStruct, self.shapes, self.dtypes)
        return self.treedef.unflatten(leaves)

    @cached_property
    def joined_tree(self) -> PyTree:
        """The shapes and dtypes of the joined tree."""
        return jax.eval_shape(self.join, self.tree)

    def join(self, tree: PyTree) -> PyTree:
        """``tree`` with small leaves laid end to end."""
        leaves = flatten_like(tree, self.tree, ("updates", "params"))
        vectors = {}
        for dtype, places in self.places.items():
            if any(is_sparse(leaves[i]) for i in places):
                raise _sparse_leaf(tree)
            vectors[dtype] = end_to_end([leaves[i] for i in places])
            for i in places:
                leaves[i] = None
        return {"vectors": vectors, "leaves": self.treedef.unflatten(leaves)}

    def split(self, joined: PyTree, like: PyTree = None) -> PyTree:
        """The tree that was joined, with the dtypes of the leaves of ``like``."""
        leaves = flatten_like(joined["leaves"], self.tree, ("updates", "params"))
        wanted = None
        if like is not None:
            wanted = flatten_like(like, self.tree, ("updates", "params"))
        for dtype, places in self.places.items():
            sizes = [int(np.prod(self.shapes[i], dtype=int)) for i in places]
            for i, part in zip(
                places, lax.split(joined["vectors"][dtype], sizes), strict=True
            ):
                leaves[i] = part.reshape(self.shapes[i])
                if wanted is not None:
                    leaves[i] = leaves[i].astype(leaf_dtype(wanted[i]))
                    leaves[i] = laid_like(leaves[i], wanted[i])
        return self.treedef.unflatten(leaves)


@pytree_dataclass
class FlattenState(RelaidState):
    """State of `flatten`.

    **Fields:**

    - ``inner``: the inner transformation's state, of ``{"vectors": {dtype: vector},
      "leaves": the leaves not joined}``.
    - ``layout``: which leaves are joined, and into which vector. It is static.
    """

    inner: State
    layout: Layout = static()

    def spread(self) -> State:
        before = self.layout.joined_tree
        relaid = partial(_relaid, self.layout.split, before)
        return map_state(relaid, self.inner, before)

    def gathered(self, spread: State) -> FlattenState:
        before = self.layout.tree
        relaid = partial(_relaid, self.layout.join, before)
        return FlattenState(map_state(relaid, spread, before), self.layout)


def _relaid(
    change: Callable[[PyTree], PyTree], before: PyTree, field: Field, value: Any
) -> Any:
    """``change(value)`` for a per-parameter field; for shapes, the resulting shapes.

    If the field has several arrays for each leaf of ``before``, each is changed
    separately.
    """
    if not field.role.is_per_parameter:
        return value
    is_abstract = any(
        isinstance(x, jax.ShapeDtypeStruct) for x in jax.tree.leaves(value)
    )
    changed = partial(jax.eval_shape, change) if is_abstract else change
    arrays = [jax.tree.leaves(part) for part in parts_of(value, before)]
    if all(len(own) <= 1 for own in arrays):
        return changed(value)
    outer: Any = jax.tree.structure(before)
    inner: Any = jax.tree.structure(parts_of(value, before)[0])
    trees = [changed(outer.unflatten(column)) for column in zip(*arrays, strict=True)]
    return jax.tree.map(lambda *own: inner.unflatten(own), *trees)


@transformation
class flatten(Wrapper):
    """Let a transformation see the small leaves of a tree as one vector per dtype.

    ``join(u), inner = inner.update(join(g), inner, join(params))``, where ``join``
    concatenates all leaves of the same dtype. A step over hundreds of small leaves
    spends most of its time on passing arrays; with this wrapper, the state has only a
    few. It takes longer to compile, because each leaf is cut from a different place in
    the vector::

        of.flatten(of.adamw(1e-3), max_size=4096)

    Use it for transformations that treat each element independently (Adam, momentum,
    weight decay) or all of them together (`clip_by_global_norm`), not for those that
    depend on the shape or path of a leaf (Muon, Adafactor, `clip_by_block_rms`,
    `masked`). The vector does not keep the shardings of its parts. Leaves are joined by
    their parameters' dtypes.

    **Arguments:**

    - ``inner``: a transformation, ours or optax's, which sees trees ``{"vectors":
      {"float32": ...}, "leaves": ...}``, the second with ``None`` for each leaf that is
      joined. An extra argument that is a function of the parameters (``value_fn``) is
      called with parameters that are not joined; one with the structure and shapes of
      the parameters, as optax's ``grad``, is joined.
    - ``max_size``: join leaves of at most this many elements and leave larger ones
      alone, which costs less than copying them into a vector; ``None`` joins all.

    **State:** `FlattenState`. A stateful optimizer's ``state_dict`` has its parts by
    parameter.

    **Raises:** `TypeError` or `ValueError` if ``max_size`` is not an integer of at
    least 0; in `update`, `TypeError` if a leaf to be joined is sparse, and `ValueError`
    if ``updates`` or ``params`` differ in structure or shapes from what `init` saw.
    """

    inner: GradientTransformation = child()
    max_size: int | None = static(default=None)

    def __post_init__(self) -> None:
        if self.max_size is not None:
            check_integer("max_size", self.max_size, at_least=0)
        super().__post_init__()
        if any(isinstance(held, quantized) for held in transformations_in(self)):
            raise ValueError(
                "flatten holds quantized, whose blocks would run across parameters; "
                "remove flatten: small parameters are not quantized anyway"
            )

    def init(self, params: PyTree) -> FlattenState:
        layout = Layout.of(params, self.max_size)
        return FlattenState(self.inner.init(layout.join(params)), layout)

    def evaluated(self, state: FlattenState, params: PyTree) -> PyTree:
        joined = state.layout.join(params)
        answer = self.inner.evaluated(state.inner, joined)
        return state.layout.split(with_defaults(answer, joined), params)

    def update(
        self,
        updates: PyTree,
        state: FlattenState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, FlattenState]:
        layout = state.layout
        reference = updates if params is None else params_like(params, updates)
        check_shapes(updates, reference, ("updates", "params"))
        check_shapes(updates, layout.tree, ("updates", "the parameters of init"))
        joined, inner = self.inner.update(
            layout.join(updates),
            state.inner,
            None if params is None else layout.join(reference),
            **adapted_extra(extra, reference, layout.join, layout.split),
        )
        return layout.split(joined, updates), FlattenState(inner, layout)


def end_to_end(leaves: Sequence[Any]) -> Array:
    """A vector in the widest dtype of ``leaves``; whole on each of their devices."""
    with jax.numpy_dtype_promotion("standard"):
        dtype = reduce(jnp.promote_types, map(jnp.result_type, leaves))
    vector = jnp.concatenate([jnp.ravel(whole(jnp.asarray(x, dtype))) for x in leaves])
    sharding = replicated_beside(leaves[0])
    return vector if sharding is None else jax.device_put(vector, sharding)


def _sparse_leaf(tree: PyTree) -> TypeError:
    path = next(path for path, leaf in leaves_with_names(tree) if is_sparse(leaf))
    return TypeError(
        f"flatten joins dense leaves, found a sparse one at {path!r}; "
        "use partition to leave it out"
    )
