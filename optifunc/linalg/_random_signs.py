"""The Hessian times a vector of random signs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._tree import PyTree


def _random_signs(key: Array, leaf: Any) -> Array:
    """1 or -1 for each element, and for both parts of a complex one."""
    shape, dtype = np.shape(leaf), jnp.result_type(leaf)
    if not jnp.iscomplexobj(leaf):
        return jax.random.rademacher(key, shape, dtype)
    parts = jax.random.rademacher(key, (2, *shape), jnp.finfo(dtype).dtype)
    return lax.complex(parts[0], parts[1])


def signed_product(
    value_fn: Callable[[PyTree], Any], params: PyTree, key: Array
) -> tuple[PyTree, PyTree]:
    """The Hessian times a vector of random signs, and these.

    The expectation of their product, element by element, is the Hessian's diagonal.
    """
    leaves, treedef = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    signs = jax.tree.unflatten(treedef, map(_random_signs, keys, leaves))
    _, product = jax.jvp(jax.grad(value_fn), (params,), (signs,))
    # JAX's gradient of a complex parameter is the conjugate of torch's.
    return jax.tree.map(jnp.conj, product), signs
