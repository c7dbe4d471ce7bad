"""Small leaves joined into one vector."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._checks import check_integer
from .._dataclass import static
from .._transformation import GradientTransformation, State, transformation
from .._tree import PyTree, check_shapes, flatten_like, is_sparse, leaves_with_names
from ._chain import as_transformation


class FlattenState(NamedTuple):
    """State of `flatten`."""

    inner: State  # of {"vectors": {dtype: vector}, "leaves": the leaves not joined}


@transformation
class flatten(GradientTransformation):
    """Let a transformation see the small leaves of a tree as one vector a dtype.

    ``join(u), inner = inner.update(join(g), inner, join(params))``, where ``join``
    lays all leaves of one dtype end to end. A step over hundreds of small leaves takes
    most of its time to hand over arrays; here the state is a few of them. To compile it
    takes longer, as each leaf is cut from another place of the vector::

        of.flatten(of.adamw(1e-3), max_size=4096)

    Right for transformations that treat each element by itself (Adam, momentum, weight
    decay) or all of them together (`clip_by_global_norm`), not for those that look at
    the shape or path of a leaf (Muon, Adafactor, `clip_by_block_rms`, `masked`). The
    vector does not keep the shardings of its parts.

    **Arguments:** ``inner``: a transformation, ours or optax's, which sees trees
    ``{"vectors": {"float32": ...}, "leaves": ...}``, the second with ``None`` in the
    place of each leaf that is joined; ``max_size``: join leaves of at most as many
    elements and leave larger ones as they are, which costs less than to copy them into
    a vector; ``None`` joins all. Leaves are joined by their parameters' dtypes; where
    `update` is called without ``params``, by their own, which must then be the same.
    An extra argument ``value_fn`` is called with parameters that are not joined; others
    with the structure and shapes of the parameters, as optax's ``grad``, are joined.

    **Raises:** `TypeError` or `ValueError` if ``max_size`` is no integer of at least
    0; in `update` `TypeError` if a leaf to be joined is sparse, and `ValueError` where
    ``updates`` and ``params`` differ in structure or shapes.
    """

    inner: GradientTransformation
    max_size: int | None = static(default=None)

    def __post_init__(self) -> None:
        if self.max_size is not None:
            check_integer("max_size", self.max_size, at_least=0)
        object.__setattr__(self, "inner", as_transformation(self.inner))

    def init(self, params: PyTree) -> FlattenState:
        return FlattenState(
            self.inner.init(_Layout(params, self.max_size).join(params))
        )

    def update(
        self,
        updates: PyTree,
        state: FlattenState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, FlattenState]:
        if params is not None:
            check_shapes(updates, params, ("updates", "params"))
        reference = updates if params is None else params
        layout = _Layout(reference, self.max_size)
        for name, value in extra.items():
            if name == "value_fn":
                extra[name] = layout.before_split(value, reference)
            # A loss is a number, of which the parameters may have just one too.
            elif name != "value" and _is_like(value, reference):
                extra[name] = layout.join(value)
        joined, inner = self.inner.update(
            layout.join(updates),
            state.inner,
            None if params is None else layout.join(params),
            **extra,
        )
        return layout.split(joined, updates), FlattenState(inner)


class _Layout:
    """Which leaves of trees like ``reference`` are joined, and into which vector."""

    def __init__(self, reference: PyTree, max_size: int | None) -> None:
        self.places: dict[str, list[int]] = {}  # dtype -> positions among the leaves
        for place, leaf in enumerate(jax.tree.leaves(reference, is_leaf=is_sparse)):
            if max_size is None or np.size(leaf) <= max_size:
                dtype = jnp.result_type(leaf).name
                self.places.setdefault(dtype, []).append(place)

    def join(self, tree: PyTree) -> PyTree:
        treedef: Any
        leaves, treedef = jax.tree.flatten(tree, is_leaf=is_sparse)
        vectors = {}
        for dtype, places in self.places.items():
            if any(is_sparse(leaves[i]) for i in places):
                raise _sparse(tree)
            vectors[dtype] = _end_to_end([leaves[i] for i in places])
            for i in places:
                leaves[i] = None
        return {"vectors": vectors, "leaves": treedef.unflatten(leaves)}

    def split(self, joined: PyTree, like: PyTree) -> PyTree:
        """The tree that was joined, with the shapes and dtypes of ``like``."""
        treedef: Any
        wanted, treedef = jax.tree.flatten(like, is_leaf=is_sparse)
        leaves = flatten_like(joined["leaves"], like, ("updates", "params"))
        for dtype, places in self.places.items():
            sizes = [np.size(wanted[i]) for i in places]
            parts = lax.split(joined["vectors"][dtype], sizes)
            for i, part in zip(places, parts, strict=True):
                part = part.reshape(np.shape(wanted[i]))
                leaves[i] = part.astype(jnp.result_type(wanted[i]))
        return treedef.unflatten(leaves)

    def before_split(self, function: Callable[..., Any], like: PyTree) -> Any:
        """``function`` of a joined tree in the place of one like ``like``."""

        def of_joined(joined: PyTree, *args: Any, **kwargs: Any) -> Any:
            return function(self.split(joined, like), *args, **kwargs)

        return of_joined


def _is_like(tree: Any, reference: PyTree) -> bool:
    ours, wanted = (
        (jax.tree.structure(t, is_leaf=is_sparse), *map(np.shape, jax.tree.leaves(t)))
        for t in (tree, reference)
    )
    return ours == wanted


def _end_to_end(leaves: Sequence[Any]) -> Array:
    """In the widest dtype of ``leaves``."""
    with jax.numpy_dtype_promotion("standard"):
        dtype = reduce(jnp.promote_types, map(jnp.result_type, leaves))
    return jnp.concatenate([jnp.ravel(jnp.asarray(x, dtype)) for x in leaves])


def _sparse(tree: PyTree) -> TypeError:
    path = next(path for path, leaf in leaves_with_names(tree) if is_sparse(leaf))
    return TypeError(
        f"flatten joins dense leaves, found a sparse one at {path!r}; "
        "use partition to leave it out"
    )
