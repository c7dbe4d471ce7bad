"""ZeRO: state and update in parts, one on each device."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, PartitionSpec

from .._checks import check_choice
from .._dataclass import child, static
from .._placement import HOST_MEMORY, is_shape, laid_along
from .._state import Field, map_state, parts_of
from .._transformation import (
    Child,
    GradientTransformation,
    State,
    require_params,
    transformation,
)
from .._tree import PyTree, is_sparse
from ..wrappers._wrapper import Wrapper
from ._mesh import check_mesh

_DEVICE_MEMORY = "device"


@transformation
class zero(Wrapper):
    """Keep the state in parts, one on each device of a mesh's axis (ZeRO).

    In data parallelism each device has all parameters, and would have all of the state
    and compute all of the update. Here each computes the update of its part, from its
    part of the state, and the updates are gathered::

        tx = of.sharding.zero(of.adamw(3e-4), mesh, "data")
        state = of.sharding.init(tx, params)

    Each array is cut along the longest of its axes that the number of devices divides;
    one without such an axis stays whole. The numbers are those of ``inner``, up to the
    order in which sums are taken: the whole arrays are what ``inner`` sees, so norms,
    factored means and the like are of all parts.

    **Arguments:**

    - ``inner``: the transformation, ours or optax's.
    - ``mesh``: the mesh that the parameters are on, a `jax.sharding.Mesh`.
    - ``axis``: the name of the axis of ``mesh`` over which batches are spread.
    - ``stage``: 1 leaves the gradients whole until they are cut; with 2 XLA may sum
      over the devices no more of each gradient than a device needs (a reduce-scatter,
      where the platform has it), so that whole gradients need not exist.
    - ``offload``: keep what is per parameter in the host's memory (``pinned_host``).
      Each update brings it to the device and back.

    **State:** the inner transformation's.

    **Raises:** `ValueError` for an ``axis`` that ``mesh`` does not have, for an unknown
    ``stage``, for ``offload`` on devices without such memory, and at `update` if
    ``params`` is missing. `TypeError` for a ``mesh`` that is not one.

    **Source:** Rajbhandari et al., "ZeRO: memory optimizations toward training trillion
    parameter models", 2020, [arXiv:1910.02054](https://arxiv.org/abs/1910.02054).
    """

    inner: GradientTransformation = child()
    mesh: Mesh = static()
    axis: str = static()
    stage: int = static(default=1)
    offload: bool = static(default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_mesh(self.mesh, self.axis)
        check_choice("stage", self.stage, (1, 2))
        if self.offload:
            device = self.mesh.devices.flat[0]
            kinds = [memory.kind for memory in device.addressable_memories()]
            if HOST_MEMORY not in kinds:
                raise ValueError(
                    f"offload needs the memory {HOST_MEMORY!r}, but {device} has only "
                    f"{', '.join(kinds)}"
                )

    def state_of(self, child: Child, state: State) -> State:
        return state

    def init(self, params: PyTree) -> State:
        state = self.inner.init(jax.tree.map(self._cut, params))
        return self._kept(state, params)

    def evaluated(self, state: State, params: PyTree) -> PyTree:
        near = self._near(state, params)
        answer = self.inner.evaluated(near, jax.tree.map(self._cut, params))
        return jax.tree.map(self._joined, answer)

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        params = require_params(params, updates, "zero")
        if self.stage == 1:
            updates = jax.tree.map(self._joined, updates, is_leaf=is_sparse)
        parts, new = self.inner.update(
            jax.tree.map(self._cut, updates, is_leaf=is_sparse),
            self._near(state, params),
            jax.tree.map(self._cut, params),
            **extra,
        )
        whole = jax.tree.map(self._joined, parts, is_leaf=is_sparse)
        return whole, self._kept(new, params)

    def _axis_of(self, shape: tuple[int, ...]) -> int | None:
        """Which axis of an array is cut; None for none."""
        devices = self.mesh.shape[self.axis]
        fitting = [i for i, n in enumerate(shape) if n and n % devices == 0]
        return max(fitting, key=lambda i: (shape[i], -i), default=None)

    def _cut(self, leaf: Any) -> Any:
        return self._laid(leaf, self.axis)

    def _joined(self, leaf: Any) -> Any:
        return self._laid(leaf, None)

    def _laid(self, leaf: Any, name: str | None) -> Any:
        """``leaf`` with its cut axis along ``name``, and the others as they are."""
        if is_sparse(leaf) or is_shape(leaf):
            return leaf
        cut = self._axis_of(np.shape(leaf))
        if cut is None:
            return leaf
        axes: list[Any] = [PartitionSpec.UNCONSTRAINED] * np.ndim(leaf)
        axes[cut] = name
        return laid_along(jnp.asarray(leaf), self.mesh, PartitionSpec(*axes))

    def _kept(self, state: State, params: PyTree) -> State:
        """The state as it is kept between updates: cut, and where it belongs."""

        def keep(leaf: Any) -> Any:
            leaf = self._cut(leaf)
            return _in_memory(leaf, HOST_MEMORY) if self.offload else leaf

        return self._mapped(keep, state, params)

    def _near(self, state: State, params: PyTree) -> State:
        """The state as an update needs it."""
        if not self.offload:
            return state
        return self._mapped(partial(_in_memory, kind=_DEVICE_MEMORY), state, params)

    @staticmethod
    def _mapped(function: Any, state: State, params: PyTree) -> State:
        """``state`` with ``function`` of each array of the shape of its parameter."""
        structure: Any
        leaves, structure = jax.tree.flatten(params)

        def on_field(field: Field, value: Any) -> Any:
            if not field.role.is_per_parameter:
                return value
            parts = [
                jax.tree.map(
                    lambda x, p=param: function(x) if np.shape(x) == np.shape(p) else x,
                    part,
                )
                for part, param in zip(parts_of(value, params), leaves, strict=True)
            ]
            return structure.unflatten(parts)

        return map_state(on_field, state, params)


def _in_memory(leaf: Any, kind: str) -> Any:
    """An array in the memory of that kind."""
    if is_shape(leaf) or not isinstance(leaf, Array):
        return leaf
    if not isinstance(leaf, jax.core.Tracer):
        sharding: Any = leaf.sharding
        return jax.device_put(leaf, sharding.with_memory_kind(kind))
    space = jax.memory.Space
    return jax.device_put(leaf, space.Host if kind == HOST_MEMORY else space.Device)
