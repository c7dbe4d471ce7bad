"""Small functions from optax's top level: averages, moments, safe numbers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ..._transformation import apply_updates as ours_apply_updates
from ..._tree import PyTree
from . import tree
from ._transformation import Params, Updates


def apply_updates(params: Params, updates: Updates) -> Params:
    """`of.apply_updates`."""
    return ours_apply_updates(params, updates)


def incremental_update(
    new_tensors: PyTree, old_tensors: PyTree, step_size: ArrayLike
) -> PyTree:
    """The point at a fraction ``step_size`` from the old tree to the new one."""
    return jax.tree.map(
        lambda new, old: step_size * new + (1.0 - step_size) * old,
        new_tensors,
        old_tensors,
    )


def periodic_update(
    new_tensors: PyTree, old_tensors: PyTree, steps: Array, update_period: int
) -> PyTree:
    """The new tree every ``update_period`` steps, and the old one in between."""
    due = jnp.mod(steps, update_period) == 0
    return jax.lax.cond(due, lambda: new_tensors, lambda: old_tensors)


def global_norm(updates: PyTree) -> Array:
    """`of.global_norm`."""
    return tree.norm(updates)


def safe_increment(count: ArrayLike) -> Array:
    """``count + 1``, staying at the largest value of its dtype."""
    count = jnp.asarray(count)
    is_whole = jnp.issubdtype(count.dtype, jnp.integer)
    limits = jnp.iinfo(count.dtype) if is_whole else jnp.finfo(count.dtype)
    largest = jnp.asarray(limits.max, count.dtype)
    return jnp.where(count < largest, count + jnp.ones_like(count), largest)


safe_int32_increment = safe_increment


def safe_norm(
    x: ArrayLike,
    min_norm: ArrayLike,
    ord: int | float | str | None = None,
    axis: tuple[int, ...] | int | None = None,
    keepdims: bool = False,
) -> Array:
    """A norm of at least ``min_norm``, whose derivative at 0 is 0."""
    x = jnp.asarray(x)
    norm = jnp.linalg.norm(x, ord, axis, keepdims=True)
    apart = jnp.where(norm <= min_norm, jnp.ones_like(x), x)
    norm = norm if keepdims else jnp.squeeze(norm, axis)
    safe = jnp.linalg.norm(apart, ord, axis, keepdims=keepdims)
    return jnp.where(norm <= min_norm, min_norm, safe)


def safe_root_mean_squares(x: ArrayLike, min_rms: ArrayLike) -> Array:
    """A root mean square of at least ``min_rms``, whose derivative at 0 is 0."""
    x = jnp.asarray(x)
    size = jnp.sqrt(jnp.mean(jnp.real(x * jnp.conj(x))))
    apart = jnp.where(size <= min_rms, jnp.ones_like(x), x)
    safe = jnp.sqrt(jnp.mean(jnp.real(apart * jnp.conj(apart))))
    return jnp.where(size <= min_rms, min_rms, safe)


bias_correction = tree.bias_correction
update_moment = tree.update_moment
update_infinity_moment = tree.update_infinity_moment
update_moment_per_elem_norm = tree.update_moment_per_elem_norm
tree_map_params = tree.map_params
