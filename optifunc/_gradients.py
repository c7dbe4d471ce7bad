"""Gradients as trees like the parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from ._checks import check_range
from ._numerics import Scalar, as_scalar
from ._tree import (
    PyTree,
    check_shapes,
    compute_dtype,
    flatten_like,
    is_array,
    is_sparse,
    leaf_dtype,
    real_dtype,
)


def value_and_gradient(
    function: Callable[..., Any], *, has_aux: bool = False
) -> Callable[..., tuple[Any, PyTree]]:
    """`jax.value_and_grad` with torch's gradient of complex parameters.

    That is the conjugate of JAX's: the direction of steepest ascent.
    """

    def evaluate(params: PyTree, *args: Any, **kwargs: Any) -> tuple[Any, PyTree]:
        found = jax.value_and_grad(function, has_aux=has_aux)(params, *args, **kwargs)
        return found[0], jax.tree.map(jnp.conj, found[1])

    return evaluate


def dense_gradient(updates: PyTree, params: PyTree, name: str = "updates") -> PyTree:
    """``updates`` with a dense leaf for each parameter; None becomes zeros.

    **Raises:** `ValueError` where structure or shapes differ from those of ``params``;
    ``name`` says what to call ``updates``.
    """
    leaves = flatten_like(updates, params, (name, "params"))
    treedef: Any = jax.tree.structure(params)
    dense = [leaf.todense() if is_sparse(leaf) else leaf for leaf in leaves]
    filled = [
        jnp.zeros_like(param) if leaf is None else leaf
        for leaf, param in zip(dense, jax.tree.leaves(params), strict=True)
    ]
    gradient = treedef.unflatten(filled)
    check_shapes(gradient, params, (name, "params"))
    return gradient


def strongly_typed(leaf: Any) -> Array | None:
    """A leaf whose dtype is its own: a Python number adapts to what it meets.

    None for a leaf that is not a number, as Equinox's models have.
    """
    if not is_array(leaf):
        return None
    return lax.convert_element_type(leaf, jnp.result_type(leaf))


def scale_gradient(tree: PyTree, factor: Scalar) -> PyTree:
    """Return ``tree`` unchanged and multiply derivatives through it by ``factor``.

    With -1, it is the gradient reversal layer of domain adaptation; with 0, it is
    `jax.lax.stop_gradient`. Use it inside a model; in an optimizer, use `scale`::

        features = encoder(params, x)
        domain = classifier(params, of.scale_gradient(features, -0.1))

    Forward derivatives are scaled too. The derivative with respect to ``factor`` is 0.

    **Arguments:**

    - ``tree``: a pytree of arrays. Those that are not floating point or complex have no
      derivative, and are returned as they are.
    - ``factor``: a real number or scalar array, of any sign.

    **Returns:** ``tree``.

    **Raises:** `ValueError` if ``factor`` is NaN or not a scalar, `TypeError` if it is
    not a number.

    **Source:** Ganin and Lempitsky, "Unsupervised Domain Adaptation by
    Backpropagation", 2015, [arXiv:1409.7495](https://arxiv.org/abs/1409.7495).
    """
    check_range("factor", factor)
    if callable(factor) or jnp.ndim(factor):
        raise ValueError(f"factor must be a number or a scalar, found {factor!r}")
    scalar = as_scalar(factor)

    def scaled(leaf: Any) -> Any:
        is_inexact = jnp.issubdtype(leaf_dtype(leaf), jnp.inexact)
        return _with_gradient(leaf, scalar) if is_inexact else leaf

    return jax.tree.map(scaled, tree)


@jax.custom_jvp
def _with_gradient(x: Array, factor: Array) -> Array:
    return x


@_with_gradient.defjvp
def _with_gradient_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    x, factor = primals
    # In at least float32: bfloat16 keeps two digits of 1/3.
    own = leaf_dtype(x)
    dtype = compute_dtype(own)
    wide = lax.convert_element_type(tangents[0], dtype)
    scaled = wide * lax.convert_element_type(factor, real_dtype(dtype)).astype(dtype)
    # The function itself, so that derivatives of derivatives are scaled as well.
    return _with_gradient(x, factor), lax.convert_element_type(scaled, own)
