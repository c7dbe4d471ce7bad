"""Second derivatives of a function of a tree, without forming the Hessian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._checks import check_function, check_integer
from .._tree import PyTree, check_real, check_shapes, compute_dtype, inner_product
from ._random_signs import signed_product


def hvp(fn: Callable[..., Any], params: PyTree, vector: PyTree, *args: Any) -> PyTree:
    """The Hessian of a function times a vector: ``H v``.

    It costs about as much as two gradients, and forms no matrix.

    **Arguments:**

    - ``fn``: a function ``fn(params, *args)`` that returns a real scalar.
    - ``params``: where, a pytree of real arrays.
    - ``vector``: a tree like ``params``.
    - ``args``: other arguments of ``fn``, such as a batch.

    **Returns:** a tree like ``params``.

    **Raises:** `ValueError` if ``vector`` differs from ``params`` in structure or
    shapes, `TypeError` for parameters that are not real floating-point numbers and for
    an ``fn`` that is not a function.

    **Source:** Pearlmutter, "Fast exact multiplication by the Hessian", 1994.
    """
    check_function("fn", fn, "hvp(fn, params, vector)")
    check_real(params, ("hvp", "parameters"))
    check_shapes(vector, params, ("vector", "params"))
    tangent = jax.tree.map(
        lambda v, p: lax.convert_element_type(v, jnp.result_type(p)), vector, params
    )
    _, product = jax.jvp(_gradient(fn, args), (params,), (tangent,))
    result: PyTree = product
    return result


def hessian_diag(
    fn: Callable[..., Any], params: PyTree, *args: Any, batch_size: int = 1
) -> PyTree:
    """The exact diagonal of the Hessian: ``d^2 fn / d p_i^2`` for each number.

    It takes a product with the Hessian for each number of ``params``, so it is for
    small models and tests; `hutchinson_diag` estimates it from a few products.

    **Arguments:**

    - ``fn``: a function ``fn(params, *args)`` that returns a real scalar.
    - ``params``: where, a pytree of real arrays.
    - ``args``: other arguments of ``fn``.
    - ``batch_size``: the number of products to compute at once, which multiplies the
      memory.

    **Returns:** a tree like ``params``.

    **Raises:** `ValueError` if ``batch_size`` is below 1, `TypeError` if it is not an
    integer, for parameters that are not real floating-point numbers, and for an ``fn``
    that is not a function.
    """
    check_function("fn", fn, "hessian_diag(fn, params)")
    check_real(params, ("hessian_diag", "parameters"))
    check_integer("batch_size", batch_size, at_least=1)
    treedef: Any
    leaves, treedef = jax.tree.flatten(params)
    _, product = jax.linearize(_gradient(fn, args), params)
    zeros = [jnp.zeros_like(leaf) for leaf in leaves]

    def diagonal(k: int) -> Array:
        def element(i: Array) -> Array:
            unit = zeros[k].ravel().at[i].set(1).reshape(zeros[k].shape)
            units = treedef.unflatten([*zeros[:k], unit, *zeros[k + 1 :]])
            found: Array = jax.tree.leaves(product(units))[k].ravel()[i]
            return found

        if zeros[k].size == 0:
            return zeros[k]
        places = jnp.arange(zeros[k].size)
        elements: Array = lax.map(element, places, batch_size=batch_size)
        return elements.reshape(zeros[k].shape)

    return treedef.unflatten(map(diagonal, range(len(leaves))))


def hutchinson_diag(
    fn: Callable[..., Any], params: PyTree, key: Array, *args: Any, samples: int = 1
) -> PyTree:
    """An estimate of the Hessian's diagonal from products with random signs.

    ::

        d = mean of z * (H z)    over vectors z of random signs

    It is unbiased. The variance of ``d[i]`` is the sum of the squares of the other
    elements of row ``i``, divided by ``samples``; for a diagonal Hessian, it is exact.

    **Arguments:**

    - ``fn``: a function ``fn(params, *args)`` that returns a real scalar.
    - ``params``: where, a pytree of real arrays.
    - ``key``: a key of `jax.random`.
    - ``args``: other arguments of ``fn``.
    - ``samples``: the number of random vectors, at least 1.

    **Returns:** a tree like ``params``.

    **Raises:** `ValueError` if ``samples`` is below 1, `TypeError` if it is not an
    integer, for parameters that are not real floating-point numbers, and for an ``fn``
    that is not a function.

    **Source:** Bekas, Kokiopoulou and Saad, "An estimator for the diagonal of a
    matrix", 2007.
    """
    check_function("fn", fn, "hutchinson_diag(fn, params, key)")
    check_real(params, ("hutchinson_diag", "parameters"))

    def estimate(key: Array) -> PyTree:
        product, signs = signed_product(lambda p: fn(p, *args), params, key)
        return jax.tree.map(jnp.multiply, product, signs)

    return _mean_over_samples(estimate, key, samples, params)


def hutchinson_trace(
    fn: Callable[..., Any], params: PyTree, key: Array, *args: Any, samples: int = 1
) -> Array:
    """An estimate of the Hessian's trace: the mean of ``<z, H z>`` over random signs.

    **Arguments:**

    - ``fn``, ``params``, ``key``, ``args``, ``samples``: see `hutchinson_diag`.

    **Returns:** a scalar of the widest enabled float dtype.

    **Raises:** as `hutchinson_diag`.

    **Source:** Hutchinson, "A stochastic estimator of the trace of the influence matrix
    for Laplacian smoothing splines", 1989.
    """
    check_function("fn", fn, "hutchinson_trace(fn, params, key)")
    check_real(params, ("hutchinson_trace", "parameters"))

    def estimate(key: Array) -> Array:
        product, signs = signed_product(lambda p: fn(p, *args), params, key)
        return inner_product(product, signs)

    mean: Array = _mean_over_samples(estimate, key, samples, jnp.zeros(()))
    return mean


def fisher_diag(
    fn: Callable[..., Any], params: PyTree, *batch: Any, batch_size: int | None = None
) -> PyTree:
    """The diagonal of the empirical Fisher information: the mean of squared gradients.

    ::

        F = mean over examples x of (d fn(params, x) / d params)^2

    Each gradient is that of one example and is squared before the mean is taken. (The
    square of the mean gradient, which optax's function of the same name computes, tends
    to 0 near a minimum of the loss.) With labels drawn from the model's own
    distribution, it is an estimate of the Fisher information itself.

    **Arguments:**

    - ``fn``: a function ``fn(params, *example)``: the negative log-likelihood of one
      example.
    - ``params``: where, a pytree of real arrays.
    - ``batch``: pytrees of arrays with the examples along their first axis.
    - ``batch_size``: the number of gradients to compute at once, each of which takes
      the memory of ``params``; None: all.

    **Returns:** a tree like ``params``.

    **Raises:** `ValueError` without examples, or if the arrays of ``batch`` have
    different numbers of them or ``batch_size`` is below 1; `TypeError` for parameters
    that are not real floating-point numbers and for an ``fn`` that is not a function.
    """
    check_function("fn", fn, "fisher_diag(fn, params, *batch)")
    check_real(params, ("fisher_diag", "parameters"))
    count = _count_of_examples(batch)
    size = count if batch_size is None else batch_size
    check_integer("batch_size", size, at_least=1)
    size = min(size, count)

    def sum_of_squares(examples: Any) -> PyTree:
        axes = (None, *[0] * len(examples))
        grads = jax.vmap(jax.grad(fn), axes)(params, *examples)
        return jax.tree.map(lambda g: jnp.sum(jnp.square(_wide(g)), 0), grads)

    def add(total: PyTree, examples: Any) -> tuple[PyTree, None]:
        return jax.tree.map(jnp.add, total, sum_of_squares(examples)), None

    whole = count // size * size
    parts = jax.tree.map(lambda x: x[:whole].reshape(-1, size, *x.shape[1:]), batch)
    total, _ = lax.scan(
        add, jax.tree.map(lambda p: _wide(jnp.zeros_like(p)), params), parts
    )
    if whole < count:
        total, _ = add(total, jax.tree.map(lambda x: x[whole:], batch))
    return jax.tree.map(
        lambda t, p: (t / count).astype(jnp.result_type(p)), total, params
    )


def _gradient(fn: Callable[..., Any], args: tuple[Any, ...]) -> Callable[..., Any]:
    return jax.grad(lambda params: fn(params, *args))


def _mean_over_samples(
    estimate: Callable[[Array], PyTree], key: Array, samples: int, like: PyTree
) -> PyTree:
    """The mean of estimates, in the dtypes of ``like``, one after the other."""
    check_integer("samples", samples, at_least=1)

    def add(total: PyTree, key: Array) -> tuple[PyTree, None]:
        return jax.tree.map(lambda t, x: t + _wide(x), total, estimate(key)), None

    zeros = jax.tree.map(lambda x: _wide(jnp.zeros_like(x)), like)
    total, _ = lax.scan(add, zeros, jax.random.split(key, samples))
    return jax.tree.map(
        lambda t, x: (t / samples).astype(jnp.result_type(x)), total, like
    )


def _wide(x: Array) -> Array:
    return lax.convert_element_type(x, compute_dtype(x.dtype))


def _count_of_examples(batch: Any) -> int:
    shapes = [np.shape(x) for x in jax.tree.leaves(batch)]
    counts = {shape[0] if shape else None for shape in shapes}
    if len(counts) != 1 or None in counts or counts == {0}:
        raise ValueError(
            "the arrays of the batch must have the same first axis, that of the "
            f"examples, of length at least 1; found the shapes {shapes}"
        )
    (count,) = counts
    return int(count)  # type: ignore[arg-type]
