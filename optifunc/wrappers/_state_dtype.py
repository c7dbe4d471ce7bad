"""State in a different dtype than the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from .._dataclass import child, static
from .._rounding import widened
from .._state import Field, map_state
from .._transformation import Child, GradientTransformation, State, transformation
from .._tree import PyTree, leaf_dtype, listed, path_name
from ._master_weights import check_floating
from ._wrapper import Wrapper


@transformation
class state_dtype(Wrapper):
    """Keep the state of a transformation in another dtype.

    ``state_dtype(adam(), bfloat16)`` halves Adam's state. Per-parameter state is
    converted; counts and other shared numbers are not. Each update computes in at least
    float32 and rounds its state once. For a single field, it is what optax calls
    ``mu_dtype``::

        tx = of.state_dtype(of.adamw(1e-3), {"exp_avg": jnp.bfloat16})

    It can also keep the state of bfloat16 parameters in float32::

        tx = of.state_dtype(of.adamw(1e-3), jnp.float32)

    A mean of squares with a decay rate of 0.999 stops moving in bfloat16, whose numbers
    are 1/128 apart: a change of a thousandth is rounded away. Leave ``exp_avg_sq`` in
    float32.

    **Arguments:**

    - ``inner``: a transformation.
    - ``dtype``: a real floating-point dtype; or a dict from names of the state's fields
      (``"exp_avg"``, or a dotted path if several have the same name) to dtypes. Other
      fields do not change, nor does complex state.

    **State:** the inner transformation's, in these dtypes.

    **Raises:** `ValueError` if ``dtype`` is not a real floating-point dtype, and at
    `init` for a field that the state does not have (it lists the known ones).
    """

    leaves_updates: ClassVar[bool] = True

    inner: GradientTransformation = child()
    dtype: Any = static()

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.dtype
        if isinstance(given, tuple):
            given = dict(given)
        if not isinstance(given, Mapping):
            check_floating("dtype", given)
            object.__setattr__(self, "dtype", jnp.dtype(given))
            return
        for name, dtype in given.items():
            check_floating(f"dtype[{name!r}]", dtype)
        # A static field is hashable.
        pairs = tuple((name, jnp.dtype(given[name])) for name in sorted(given))
        object.__setattr__(self, "dtype", pairs)

    def state_of(self, child: Child, state: State) -> State:
        return state

    def init(self, params: PyTree) -> State:
        state = self.inner.init(params)
        if isinstance(self.dtype, tuple):
            self._check_names(state, params)

        def convert(field: Field, value: Any) -> Any:
            dtype = self._dtype_of(field)
            if dtype is None or not field.role.is_per_parameter:
                return value
            return jax.tree.map(partial(_converted, dtype=dtype), value)

        return map_state(convert, state, params)

    def _check_names(self, state: State, params: PyTree) -> None:
        known: list[str] = []

        def record(field: Field, value: Any) -> Any:
            known.extend((field.name, path_name(field.path)))
            return value

        map_state(record, state, params)
        for name, _ in self.dtype:
            if name not in known:
                raise ValueError(
                    f"dtype names the field {name!r}, which the state does not have; "
                    f"known: {listed(sorted({*known}), 20)}"
                )

    def _dtype_of(self, field: Field) -> Any:
        if not isinstance(self.dtype, tuple):
            return self.dtype
        chosen = dict(self.dtype)
        return chosen.get(path_name(field.path), chosen.get(field.name))

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        updates, new = self.inner.update(updates, widened(state), params, **extra)

        def round_like(new: Any, old: Any) -> Any:
            return _converted(new, leaf_dtype(old))

        return updates, jax.tree.map(round_like, new, state)


def _converted(leaf: Any, dtype: Any) -> Any:
    if not jnp.issubdtype(leaf_dtype(leaf), jnp.floating):
        return leaf
    return lax.convert_element_type(leaf, dtype)
