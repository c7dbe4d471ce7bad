"""A transformation for some of the parameters."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, NamedTuple

from .._dataclass import child, static
from .._extra import adapted_extra
from .._transformation import Child, GradientTransformation, State, transformation
from .._tree import PyTree, leaves_with_names, listed, params_like
from ._selection import (
    check_mask,
    chosen_values,
    is_function,
    merged,
    selected,
    static_choice,
)
from ._wrapper import Wrapper


class EmptyMaskWarning(UserWarning):
    """A mask that is a function selects none of the parameters."""


class MaskedState(NamedTuple):
    """State of `masked`.

    **Fields:**

    - ``inner``: the inner transformation's state, with None for each parameter that is
      not selected.
    """

    inner: State


@transformation
class masked(Wrapper):
    """Apply a transformation to selected leaves; the others pass unchanged.

    The inner transformation sees ``None`` for updates and parameters that are not
    selected, and keeps no state for them::

        of.masked(of.add_decayed_weights(0.1), lambda path, leaf: "kernel" in path)

    A mask is static: a tree is compared by content, a function by identity, so a newly
    created function triggers recompilation. A mask that selects nothing is allowed; if
    it is a function, `init` warns, because its condition may be wrong.

    **Arguments:**

    - ``inner``: a transformation, ours or optax's.
    - ``mask``: a pytree of bools, whose leaves may stand for whole subtrees of the
      parameters; a function of ``(path, leaf)`` that returns a bool; or a function of
      the parameters that returns a pytree of bools, as in optax. The two are
      distinguished by the number of arguments without a default. None selects all.
      ``path`` is dotted (``"encoder.0.kernel"``, even if a flax.nnx Variable holds the
      array), and ``leaf`` is the parameter (the update, if `update` is called without
      ``params``).

    **State:** `MaskedState`.

    **Raises:** `ValueError` for a mask value that is not a bool; at `init` and `update`
    for a mask that does not fit the parameters.
    """

    leaves_updates: ClassVar[bool] = True

    inner: GradientTransformation = child()
    mask: Any = static()

    def __post_init__(self) -> None:
        super().__post_init__()
        mask = True if self.mask is None else self.mask
        object.__setattr__(self, "mask", static_choice(mask, check_mask))

    def params_of(self, child: Child, params: PyTree) -> PyTree:
        return selected(params, params, "params", self._chosen(params))

    def _chosen(self, params: PyTree) -> list[bool]:
        return chosen_values(self.mask, params, "mask", check_mask)

    def init(self, params: PyTree) -> MaskedState:
        chosen = self._chosen(params)
        if chosen and not any(chosen) and is_function(self.mask):
            names = [name for name, _ in leaves_with_names(params)]
            warnings.warn(
                f"mask selects none of the {len(names)} parameters: {listed(names)}",
                EmptyMaskWarning,
                stacklevel=2,
            )
        return MaskedState(self.inner.init(selected(params, params, "params", chosen)))

    def update(
        self,
        updates: PyTree,
        state: MaskedState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, MaskedState]:
        reference = updates if params is None else params_like(params, updates)
        chosen = self._chosen(reference)

        def restrict(tree: PyTree) -> PyTree:
            return selected(tree, reference, "updates", chosen)

        def restore(part: PyTree) -> PyTree:
            return merged(part, reference, reference, "params", chosen)

        new, inner = self.inner.update(
            restrict(updates),
            state.inner,
            None if params is None else restrict(reference),
            **adapted_extra(extra, reference, restrict, restore),
        )
        new = merged(new, updates, reference, "the inner updates", chosen)
        return new, MaskedState(inner)
