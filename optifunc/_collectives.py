"""Sums over the devices of a named axis, inside `jax.shard_map` and `jax.pmap`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array, lax

# The name of a mesh axis, or several; None means that the array is on one device.
AxisName: TypeAlias = str | tuple[str, ...] | None


def check_axis_name(axis_name: Any) -> None:
    """Check an argument ``axis_name``.

    **Raises:** `TypeError` if it is not a name.
    """
    names = axis_name if isinstance(axis_name, tuple) else (axis_name,)
    if axis_name is not None and not all(isinstance(name, str) for name in names):
        raise TypeError(
            "axis_name must be the name of an axis of the mesh, a tuple of names, or "
            f"None, found {axis_name!r}"
        )


def split_axes(x: Array, axis_name: AxisName) -> tuple[str, ...]:
    """Those of the named axes over which ``x`` differs between devices.

    If JAX does not track this (`jax.pmap`, ``check_vma=False``), all of them.
    """
    if axis_name is None:
        return ()
    names = axis_name if isinstance(axis_name, tuple) else (axis_name,)
    varying = _varying(x)
    is_known = all(name in _varying(lax.axis_index(name)) for name in names)
    return tuple(name for name in names if name in varying or not is_known)


def _varying(x: Array) -> frozenset[str]:
    """The axes over which ``x`` differs between devices, according to its type."""
    kind: Any = jax.typeof(x)
    # Jax has renamed it.
    varying: frozenset[str] = kind.mat.varying if hasattr(kind, "mat") else kind.vma
    return varying


def sum_over_devices(x: Array, axis_name: AxisName) -> Array:
    """The sum of the parts on all devices; ``x`` itself if it is the same on all."""
    axes = split_axes(x, axis_name)
    return lax.psum(x, axes) if axes else x


def mean_over_devices(x: Array, axis_name: AxisName) -> Array:
    """The mean of the parts on all devices."""
    axes = split_axes(x, axis_name)
    return lax.pmean(x, axes) if axes else x


def total_over_devices(numbers: Iterable[Array], axis_name: AxisName) -> Array:
    """The sum of scalars, each summed over the devices that it is split over.

    Scalars that are split alike share one exchange. The result has the widest enabled
    float dtype.
    """
    dtype = jnp.result_type(float)
    groups: dict[tuple[str, ...], Array] = {}
    for x in numbers:
        axes = split_axes(x, axis_name)
        x = lax.convert_element_type(x, dtype)
        groups[axes] = groups[axes] + x if axes in groups else x
    parts = (lax.psum(x, axes) if axes else x for axes, x in groups.items())
    return sum(parts, start=jnp.zeros((), dtype))


def largest_over_devices(sizes: Iterable[Array], axis_name: AxisName) -> Array:
    """The largest of nonnegative scalars on all devices; 0 if there are none.

    Scalars that are split alike share one exchange. The result has the widest enabled
    float dtype, and is NaN if one of the scalars is.
    """
    dtype = jnp.result_type(float)
    groups: dict[tuple[str, ...], Array] = {}
    for x in sizes:
        axes = split_axes(x, axis_name)
        x = lax.convert_element_type(x, dtype)
        groups[axes] = jnp.maximum(groups[axes], x) if axes in groups else x
    largest = jnp.zeros((), dtype)
    for axes, x in groups.items():
        largest = jnp.maximum(largest, _pmax(x, axes) if axes else x)
    return largest


def _pmax(x: Array, axes: tuple[str, ...]) -> Array:
    # A backend may lose a NaN in `pmax`.
    is_nan = jnp.isnan(x)
    pair = jnp.stack([jnp.where(is_nan, 0, x), is_nan.astype(x.dtype)])
    size, has_nan = lax.pmax(pair, axes)
    return jnp.where(has_nan > 0, jnp.nan, size)
