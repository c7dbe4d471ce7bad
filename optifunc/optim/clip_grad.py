"""Clipping of an optimizer's gradients between `backward` and `step`.

Counterparts of `torch.nn.utils.clip_grad_norm_` and the like; the pure transformations
are `optifunc.clip_by_global_norm` and `optifunc.clip`.
"""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_range
from .._numerics import Scalar, as_scalar
from .._sparse import summed
from .._tree import PyTree, compute_dtype, global_norm, is_sparse
from ..transforms._clipping import clip
from ..transforms._scaling import scale
from ._optimizer import Optimizer

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]


def __dir__() -> list[str]:
    return __all__


def get_total_norm(
    tensors: Optimizer | PyTree,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Array:
    """The norm of all gradients together: ``sum(|g_i| ** p) ** (1 / p)``.

    **Arguments:**

    - ``tensors``: an optimizer, for its ``grads``, or a pytree.
    - ``norm_type``: the order ``p``; ``inf`` (or ``"inf"``) is the largest magnitude.
      As in torch, this is the norm of the leaves' norms, which is the same for all
      orders but 0.
    - ``error_if_nonfinite``: whether a norm that is infinite or NaN is an error.

    **Returns:** a real scalar in the widest enabled float dtype, accumulated in at
    least float32; 0 without gradients.

    **Raises:** `RuntimeError` if the norm is infinite or NaN and
    ``error_if_nonfinite``; `ValueError` if ``norm_type`` is NaN.
    """
    grads = tensors.grads if isinstance(tensors, Optimizer) else tensors
    norm: Array = _norm(grads, _order(norm_type))
    if error_if_nonfinite:
        _check_finite(norm, norm_type)
    return norm


def clip_grad_norm_(
    optimizer: Optimizer,
    max_norm: Scalar,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Array:
    """Scale down ``optimizer.grads`` if their global norm exceeds ``max_norm``.

    ::

        g = g * min(1, max_norm / (norm(g) + 1e-6)),    norm(g) = get_total_norm(g)

    Changing ``max_norm`` does not trigger recompilation.

    **Arguments:**

    - ``optimizer``: the optimizer whose ``grads`` are replaced.
    - ``max_norm``: the largest norm to leave unchanged, at least 0.
    - ``norm_type``: the order of the norm, as in `get_total_norm`.
    - ``error_if_nonfinite``: whether a norm that is infinite or NaN is an error.
      Otherwise an infinite norm makes the finite gradients 0 and the infinite ones
      NaN, and a norm that is NaN makes all NaN.

    **Returns:** the norm before clipping, as from `get_total_norm`.

    **Raises:** `RuntimeError` if the norm is infinite or NaN and
    ``error_if_nonfinite``; `ValueError` if ``max_norm`` is negative or NaN, or
    ``norm_type`` is NaN; `TypeError` if ``optimizer`` is not an optimizer. The
    gradients are then unchanged.

    **Source:** Pascanu et al., "On the difficulty of training recurrent neural
    networks", 2013, arXiv:1211.5063.
    """
    _check_optimizer(optimizer)
    check_range("max_norm", max_norm, at_least=0)
    norm: Array
    norm, clipped = _clipped_by_norm(optimizer.grads, max_norm, _order(norm_type))
    if error_if_nonfinite:
        _check_finite(norm, norm_type)
    optimizer.grads = clipped
    return norm


def clip_grads_with_norm_(
    optimizer: Optimizer, max_norm: Scalar, total_norm: Scalar
) -> None:
    """Scale down ``optimizer.grads`` like `clip_grad_norm_`, with a known norm.

    ::

        g = g * min(1, max_norm / (total_norm + 1e-6))

    Use it for a norm over more gradients than this optimizer has, such as those of
    several optimizers together::

        total = get_total_norm([encoder.grads, decoder.grads])
        for optimizer in (encoder, decoder):
            clip_grads_with_norm_(optimizer, 1.0, total)

    **Arguments:**

    - ``optimizer``: the optimizer whose ``grads`` are replaced.
    - ``max_norm``: the largest norm to leave unchanged, at least 0.
    - ``total_norm``: the norm, as from `get_total_norm`. If it is infinite or NaN, the
      gradients change as in `clip_grad_norm_`.

    **Raises:** `ValueError` if ``max_norm`` is negative or NaN, `TypeError` if
    ``optimizer`` is not an optimizer. The gradients are then unchanged.

    **Source:** see `clip_grad_norm_`.
    """
    _check_optimizer(optimizer)
    check_range("max_norm", max_norm, at_least=0)
    optimizer.grads = _clipped_to(optimizer.grads, max_norm, total_norm)


def clip_grad_value_(optimizer: Optimizer, clip_value: Scalar) -> None:
    """Clip each element of ``optimizer.grads`` to [``-clip_value``, ``clip_value``].

    **Arguments:**

    - ``optimizer``: the optimizer whose ``grads`` are replaced.
    - ``clip_value``: the largest magnitude, at least 0.

    **Raises:** `ValueError` if ``clip_value`` is negative or NaN, `TypeError` if
    ``optimizer`` is not an optimizer.
    """
    _check_optimizer(optimizer)
    check_range("clip_value", clip_value, at_least=0)
    optimizer.grads = _clipped_by_value(optimizer.grads, clip_value)


def _check_optimizer(optimizer: object) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            "the first argument must be an optimizer, found "
            f"{type(optimizer).__name__}; for a pytree use clip_by_global_norm or clip"
        )


def _check_finite(norm: Array, norm_type: float) -> None:
    if not jnp.isfinite(norm):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients is non-finite ({norm}),"
            " so it cannot be clipped; to scale the gradients anyway, pass "
            "error_if_nonfinite=False"
        )


def _order(norm_type: float) -> float:
    order = float(norm_type)
    if math.isnan(order):
        raise ValueError(f"norm_type must be a number, found {norm_type!r}")
    return order


@partial(jax.jit, static_argnames="order")
def _norm(grads: PyTree, order: float) -> Array:
    if order == 2:
        return global_norm(grads)
    leaves = [
        jnp.ravel(summed(leaf).data if is_sparse(leaf) else leaf)
        for leaf in jax.tree.leaves(grads, is_leaf=is_sparse)
    ]
    norms = [
        as_scalar(jnp.linalg.norm(leaf.astype(compute_dtype(leaf.dtype)), ord=order))
        for leaf in leaves
        if leaf.size
    ]
    if not norms:
        return as_scalar(0.0)
    total: Array = jnp.linalg.norm(jnp.stack(norms), ord=order)
    return total


@partial(jax.jit, static_argnames="order")
def _clipped_by_norm(
    grads: PyTree, max_norm: Scalar, order: float
) -> tuple[Array, PyTree]:
    norm = _norm(grads, order)
    return norm, _clipped_to(grads, max_norm, norm)


@jax.jit
def _clipped_to(grads: PyTree, max_norm: Scalar, norm: Scalar) -> PyTree:
    ratio = as_scalar(max_norm) / (as_scalar(norm) + 1e-6)
    clipped, _ = scale(lax.min(ratio, as_scalar(1))).update(grads, ())
    return clipped


@jax.jit
def _clipped_by_value(grads: PyTree, clip_value: Scalar) -> PyTree:
    clipped, _ = clip(clip_value).update(grads, ())
    return clipped
