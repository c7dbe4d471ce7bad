"""Stacks of matrices, distributed over devices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh, PartitionSpec

from .._placement import laid_along, mesh_in_force, whole


class _Devices(NamedTuple):
    mesh: Mesh
    axis: str


# Code traced within `spread_over` is for these devices.
_devices: ContextVar[_Devices | None] = ContextVar("devices", default=None)


@contextmanager
def spread_over(mesh: Mesh, axis: str) -> Iterator[None]:
    """Within it, `in_parts` spreads matrices over an axis of a mesh."""
    token = _devices.set(_Devices(mesh, axis))
    try:
        yield
    finally:
        _devices.reset(token)


def is_spread() -> bool:
    """Whether matrices are spread over devices here."""
    return _devices.get() is not None


def in_parts(
    function: Callable[..., Sequence[Array]], *stacks: Array
) -> Sequence[Array]:
    """``function(*stacks)``, whose arrays all have a first axis of matrices.

    Within `spread_over`, each device computes it for its own matrices: they travel to
    it once, and the results travel back once.
    """
    devices = _devices.get()
    if devices is None:
        return function(*map(whole, stacks))
    mesh, axis = devices
    count = len(stacks[0])
    missing = -count % mesh.shape[axis]

    def own(stack: Array) -> Array:
        # Copies fill up the last devices, because a matrix of zeros may have no result.
        copies = jnp.broadcast_to(stack[:1], (missing, *stack.shape[1:]))
        return laid_along(jnp.concatenate([stack, copies]), mesh, PartitionSpec(axis))

    def gathered(stack: Any) -> Array:
        return laid_along(stack, mesh, PartitionSpec())[:count]

    # Each device separately: some JAX factorizations do not support sharded batches.
    on_each = jax.shard_map(
        function,
        mesh=mesh_in_force(mesh),
        in_specs=PartitionSpec(axis),
        out_specs=PartitionSpec(axis),
        check_vma=False,
    )
    return tuple(map(gathered, on_each(*map(own, stacks))))
