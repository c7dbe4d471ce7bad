"""What the wrappers for narrow parameters share: a step in float32."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from .._extra import adapted_extra
from .._rounding import is_narrow, widened
from .._transformation import Child, GradientTransformation, State
from .._tree import PyTree, flatten_like, is_sparse, leaf_dtype, leaves_with_names
from ._wrapper import Wrapper, transformations_in


class NarrowWrapper(Wrapper):
    """Base class of wrappers whose inner transformation sees only float32 or wider.

    **Raises:** `ValueError` if one holds another, which would have no effect.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        for held in transformations_in(self):
            if isinstance(held, NarrowWrapper):
                raise ValueError(
                    f"{type(held).__name__} inside {type(self).__name__} would have no "
                    "effect, because it sees no narrow parameters; use one of the two"
                )

    def params_of(self, child: Child, params: PyTree) -> PyTree:
        return widened(params)


def wide_update(
    inner: GradientTransformation,
    updates: PyTree,
    state: State,
    params: PyTree,
    wide: PyTree,
    extra: dict[str, Any],
    dtype: Any = jnp.float32,
) -> tuple[PyTree, State]:
    """The inner update, with only wide arrays.

    **Arguments:**

    - ``inner``, ``updates``, ``state``: the inner transformation, the gradients and its
      state.
    - ``params``: the parameters.
    - ``wide``: the parameters that the inner transformation sees.
    - ``extra``: extra arguments. Functions of the parameters get narrow ones.
    - ``dtype``: the dtype to which narrower arrays are converted.
    """

    def narrowed(tree: PyTree) -> PyTree:
        def narrow(x: Any, param: Any) -> Any:
            return lax.convert_element_type(x, leaf_dtype(param))

        return jax.tree.map(narrow, tree, params)

    extra = adapted_extra(extra, params, lambda tree: widened(tree, dtype), narrowed)
    return inner.update(widened(updates, dtype), state, wide, **extra)


def check_dense(updates: PyTree, params: PyTree, name: str) -> None:
    """Check that no narrow parameter has a sparse gradient.

    **Raises:** `TypeError` that names it.
    """
    others = flatten_like(params, updates, ("params", "updates"))
    for (path, leaf), param in zip(leaves_with_names(updates), others, strict=True):
        if is_sparse(leaf) and is_narrow(param):
            raise TypeError(
                f"{name} takes only dense gradients of narrow parameters, found a "
                f"sparse one at {path!r}; keep that parameter in float32"
            )


def check_bfloat16(params: PyTree, name: str) -> None:
    """Check that every narrow parameter is in bfloat16.

    **Raises:** `TypeError` that names a parameter with another dtype.
    """
    for path, leaf in leaves_with_names(params):
        if is_narrow(leaf) and leaf_dtype(leaf) != jnp.bfloat16:
            raise TypeError(
                f"{name} takes parameters in bfloat16, float32 and wider, found "
                f"{leaf_dtype(leaf)} at {path!r}; use master_weights or kahan"
            )
