"""Losses defined by a function of scores."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ._arguments import as_floats, check_same_shape
from ._reduction import Reduction, reduce


def fenchel_young_loss(
    input: ArrayLike,
    target: ArrayLike,
    max_fun: Callable[[Array], Array] = jax.nn.logsumexp,
    reduction: Reduction = "mean",
) -> Array:
    """A convex function of scores minus their product with the target.

    ::

        loss = max_fun(input) - sum(target * input)

    Its gradient is that of ``max_fun`` minus ``target``. With the logarithm of the sum
    of exponentials, the default, it is the cross-entropy; other functions are for
    targets that are permutations, trees or paths. It omits a term that depends only on
    the target, so it may be negative.

    **Arguments:**

    - ``input``: scores, floats of shape (..., D).
    - ``target``: numbers of the same shape, such as a distribution.
    - ``max_fun``: a function of one vector (D,) of at least float32 that returns a
      scalar.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.

    **Returns:** an array of shape (...) for ``"none"``, otherwise a scalar; in the
    dtype of ``input``.

    **Raises:** `ValueError` if the shapes differ, ``input`` is a scalar, ``max_fun``
    does not return a scalar or ``reduction`` is unknown; `TypeError` if ``input`` is
    not of a float dtype or ``max_fun`` not a function.

    **Source:** Blondel, Martins and Niculae, "Learning with Fenchel-Young losses",
    2020, [arXiv:1901.02324](https://arxiv.org/abs/1901.02324).
    """
    if not callable(max_fun):
        raise TypeError(f"max_fun must be a function of a vector, found {max_fun!r}")
    dtype, (x, y) = as_floats(input=input, target=target)
    check_same_shape(input=x, target=y)
    if x.ndim == 0:
        raise ValueError("input must be of shape (..., D), found a scalar")
    largest = max_fun
    for _ in range(x.ndim - 1):
        largest = jax.vmap(largest)
    value = largest(x)
    if value.shape != x.shape[:-1]:
        raise ValueError(
            "max_fun must return a scalar for one vector, found shape "
            f"{value.shape[x.ndim - 1 :]}"
        )
    return reduce(value - jnp.sum(x * y, -1), reduction).astype(dtype)
