"""ZeRO: state and update in parts, one on each device."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, PartitionSpec

from .._checks import check_choice
from .._dataclass import child, static
from .._placement import (
    HOST_MEMORY,
    is_shape,
    known_sharding,
    laid_along,
    names_in,
)
from .._state import Field, Role, map_state, parts_of
from .._transformation import (
    Child,
    GradientTransformation,
    State,
    require_params,
    transformation,
)
from .._tree import PyTree, flatten_like, is_sparse, leaves_with_names
from ..wrappers._selection import chosen_values, like, static_choice
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

    Each array is partitioned along its longest axis that the number of devices divides;
    one without such an axis stays whole. The factors of matrix optimizers are sharded
    like those of parameters that are partitioned so. The results are those of
    ``inner``, up to the order of sums: ``inner`` sees the whole arrays, so norms,
    factored means and the like are over all parts.

    Parameters that are sharded over other axes of the mesh stay that way, and their
    state is partitioned further, if ``layout`` says how they are sharded. A compiled
    program cannot see this if the axes of the mesh are automatic::

        layout = {"up": P(None, "tensor"), "down": P("tensor"), "scale": P()}
        tx = of.sharding.zero(of.adamw(3e-4), mesh, "data", layout=layout)

    **Arguments:**

    - ``inner``: the transformation, ours or optax's.
    - ``mesh``: the mesh that the parameters are on, a `jax.sharding.Mesh`.
    - ``axis``: the name of the axis of ``mesh`` over which batches are spread.
    - ``stage``: with 1, gradients are whole until they are partitioned; with 2, XLA may
      sum only the part of each gradient that a device needs (a reduce-scatter, if the
      platform has it), so that whole gradients need not exist.
    - ``offload``: keep per-parameter state in host memory (``pinned_host``). Each
      update moves it to the device and back.
    - ``layout``: how the parameters are sharded, a `jax.sharding.PartitionSpec` for
      each: a tree, the leaves of which may stand for whole subtrees of the parameters,
      or a function of ``(path, leaf)``. Parameters that are already sharded over
      ``axis`` do not change. None: they are whole on each device.

    **State:** the inner transformation's.

    **Raises:** `ValueError` for an ``axis`` that ``mesh`` does not have, for an unknown
    ``stage``, for ``offload`` on devices without such memory, for a ``layout`` that
    names other axes, at `init` for parameters that are sharded over ``axis`` without a
    ``layout`` that says so, and at `update` if ``params`` is missing. `TypeError` for a
    ``mesh`` that is not one, and for a ``layout`` of other things.

    **Source:** Rajbhandari et al., "ZeRO: memory optimizations toward training trillion
    parameter models", 2020, [arXiv:1910.02054](https://arxiv.org/abs/1910.02054).
    """

    inner: GradientTransformation = child()
    mesh: Mesh = static()
    axis: str = static()
    stage: int = static(default=1)
    offload: bool = static(default=False)
    layout: Any = static(default=None)

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
        if self.layout is not None:
            choice = static_choice(self.layout, self._check_spec)
            object.__setattr__(self, "layout", choice)

    def _check_spec(self, path: str, spec: Any) -> PartitionSpec:
        if not isinstance(spec, PartitionSpec):
            raise TypeError(
                "layout must consist of jax.sharding.PartitionSpec, found "
                f"{spec!r} at {path!r}"
            )
        for name in names_in(spec):
            check_mesh(self.mesh, name, f"layout at {path!r}")
        return spec

    def state_of(self, child: Child, state: State) -> State:
        return state

    def init(self, params: PyTree) -> State:
        if self.layout is None:
            for path, leaf in leaves_with_names(params):
                self._check_is_whole(path, leaf)
        state = self.inner.init(self._on_each(self._cut, params, params))
        return self._kept(state, params)

    def evaluated(self, state: State, params: PyTree) -> PyTree:
        near = self._near(state, params)
        cut = self._on_each(self._cut, params, params)
        return self._on_each(self._joined, self.inner.evaluated(near, cut), params)

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        params = require_params(params, updates, "zero")
        if self.stage == 1:
            updates = self._on_each(self._joined, updates, params)
        parts, new = self.inner.update(
            self._on_each(self._cut, updates, params),
            self._near(state, params),
            self._on_each(self._cut, params, params),
            **extra,
        )
        return self._on_each(self._joined, parts, params), self._kept(new, params)

    def _specs(self, params: PyTree) -> list[PartitionSpec | None]:
        """How each parameter is sharded, as far as known."""
        if self.layout is None:
            return [None] * len(jax.tree.leaves(params, is_leaf=is_sparse))
        return chosen_values(self.layout, params, "layout", self._check_spec)

    def _on_each(self, function: Any, tree: PyTree, params: PyTree) -> PyTree:
        """``tree`` with ``function`` of each leaf and its parameter's sharding."""
        leaves = flatten_like(tree, params, ("updates", "params"))
        return like(params, [*map(function, leaves, self._specs(params))])

    def _check_is_whole(self, path: str, leaf: Any) -> None:
        sharding = known_sharding(leaf)
        if sharding is not None and self.axis in names_in(sharding.spec):
            raise ValueError(
                f"the parameter {path!r} is sharded over {self.axis!r} already, as "
                f"{sharding.spec}; say so by layout=, or name an axis over which it is "
                "whole"
            )

    def _cut_spec(
        self, shape: tuple[int, ...], spec: PartitionSpec | None
    ) -> PartitionSpec | None:
        """How an array is partitioned; None if it is not."""
        free = PartitionSpec.UNCONSTRAINED
        given = [free] * len(shape) if spec is None else [*spec]
        axes: list[Any] = [*given, *[None] * (len(shape) - len(given))]
        if spec is not None and self.axis in names_in(spec):
            return None
        # The length of a device's part along each axis, where it can be divided again.
        lengths = {}
        for i, n in enumerate(shape):
            names = [] if axes[i] is free else names_in(PartitionSpec(axes[i]))
            parts = math.prod(self.mesh.shape[name] for name in names)
            if n and n % (parts * self.mesh.shape[self.axis]) == 0:
                lengths[i] = n // parts
        cut = max(lengths, key=lambda i: (lengths[i], -i), default=None)
        if cut is None:
            return None
        names = [] if axes[cut] is free else names_in(PartitionSpec(axes[cut]))
        axes[cut] = (*names, self.axis) if names else self.axis
        return PartitionSpec(*axes)

    def _cut(self, leaf: Any, spec: PartitionSpec | None) -> Any:
        return self._laid(leaf, self._cut_spec(np.shape(leaf), spec))

    def _joined(self, leaf: Any, spec: PartitionSpec | None) -> Any:
        cut = self._cut_spec(np.shape(leaf), spec)
        if cut is not None and spec is None:
            spec = PartitionSpec(*(None if x == self.axis else x for x in cut))
        return self._laid(leaf, None if cut is None else spec)

    def _laid(self, leaf: Any, spec: PartitionSpec | None) -> Any:
        if spec is None or is_sparse(leaf) or is_shape(leaf):
            return leaf
        return laid_along(jnp.asarray(leaf), self.mesh, spec)

    def _kept(self, state: State, params: PyTree) -> State:
        """The state between updates: partitioned, and where it belongs."""

        state = self._mapped(self._cut, state, params)
        return self._in_memory(HOST_MEMORY, state, params)

    def _near(self, state: State, params: PyTree) -> State:
        """The state in the form that an update needs."""
        return self._in_memory(_DEVICE_MEMORY, state, params)

    def _in_memory(self, kind: str, state: State, params: PyTree) -> State:
        """The state, moved to that memory if it is kept away from the devices."""
        if not self.offload:
            return state
        state = self._mapped(lambda x, _: _in_memory(x, kind), state, params)

        def on_field(field: Field, value: Any) -> Any:
            if field.role is not Role.PER_AXIS:
                return value
            return jax.tree.map(lambda x: _in_memory(x, kind), value)

        return map_state(on_field, state, params)

    def _mapped(self, function: Any, state: State, params: PyTree) -> State:
        """``state`` with ``function`` of each array that is sharded like its parameter.

        The factors of axes are left alone: they were created for partitioned arrays.
        """
        structure: Any
        leaves, structure = jax.tree.flatten(params)
        specs = self._specs(params)

        def on_part(part: PyTree, param: Any, spec: PartitionSpec | None) -> PyTree:
            return jax.tree.map(
                lambda x: function(x, spec) if np.shape(x) == np.shape(param) else x,
                part,
            )

        def on_field(field: Field, value: Any) -> Any:
            if not field.role.is_per_parameter or field.role is Role.PER_AXIS:
                return value
            parts = parts_of(value, params)
            return structure.unflatten(map(on_part, parts, leaves, specs))

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
