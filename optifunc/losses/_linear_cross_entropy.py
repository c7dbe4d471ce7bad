"""Cross-entropy of a linear classifier whose logits never exist as a whole.

Classes are processed in blocks. For each sample, a pass over the blocks keeps the
largest logit so far, the sum of exponentials relative to it, and the sums that the
targets need. The pass is a scan whose body is recomputed for the derivative, so only
its carry is kept for each block.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from .._checks import check_integer
from .._numerics import Scalar, is_zero
from ._arguments import as_floats, check_number
from ._labels import as_integers, check_labels, in_range
from ._reduction import Reduction, reduce, reduce_weighted


def linear_cross_entropy(
    input: ArrayLike,
    linear_weight: ArrayLike,
    target: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    ignore_index: int | None = None,
    label_smoothing: Scalar = 0.0,
    block_size: int = 8192,
) -> Array:
    """`cross_entropy` of the logits ``input @ linear_weight.T``, in blocks of classes.

    ::

        loss = cross_entropy(input @ linear_weight.T + linear_bias, target, ...)

    With N samples and C classes, neither the loss nor its derivatives create an array
    of N x C numbers, but only one of N x ``block_size``. The derivatives recompute the
    logits; they are exact, of any order, in reverse and forward mode.

    **Arguments:**

    - ``input``: samples, floats of shape (D,) or (N, D).
    - ``linear_weight``: the classifier, (C, D), or (C, d1, ..., dK, D) for samples (N,
      D) with K-dimensional targets.
    - ``target``: class labels, integers of shape (), (N,) or (N, d1, ..., dK); or class
      probabilities of shape (C,), (N, C) or (N, C, d1, ..., dK).
    - ``linear_bias``: of the shape of ``linear_weight`` without D, or (C,); or None.
    - ``weight``: a factor for each class, (C,), or None.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``, as in `cross_entropy`.
    - ``ignore_index``: the label whose samples are left out (None: -100).
    - ``label_smoothing``: in [0, 1].
    - ``block_size``: the number of classes in a block. A divisor of C saves a copy of
      ``linear_weight``. (torch's ``options`` choose blocks of samples.)

    **Returns:** see `cross_entropy`; in the dtype of ``input``. It is computed in at
    least float32.

    **Raises:** see `cross_entropy`; also `ValueError` if the shapes do not fit or
    ``block_size`` is below 1. Under `jit`, where labels cannot be checked, one out of
    range makes the loss and its gradient NaN.
    """
    check_number("label_smoothing", label_smoothing, at_least=0, at_most=1)
    check_integer("block_size", block_size, at_least=1)
    x, matrix, bias = jnp.asarray(input), jnp.asarray(linear_weight), linear_bias
    shape = _output_shape(x, matrix)
    dtype, (x, class_weight) = as_floats(input=x, weight=weight)
    classes, width = matrix.shape[0], matrix.shape[-1]
    matrix = matrix.reshape(classes, -1)
    x = x.reshape(-1, width)
    places = matrix.shape[1] // width
    if jnp.shape(target) == shape:
        targets = _labels(target, classes, ignore_index).reshape(len(x), places)
        probabilities = None
    else:
        targets = None
        probabilities = _probabilities(x.dtype, target, shape, classes, ignore_index)
    columns = _Columns(
        matrix=matrix,
        bias=_bias(bias, x.dtype, places, jnp.shape(linear_weight)[:-1]),
        weight=_checked_weight(class_weight, classes),
        probabilities=probabilities,
    )
    smoothing = None
    if not is_zero(label_smoothing):
        smoothing = lax.convert_element_type(label_smoothing, x.dtype)
    sums = _over_blocks(columns, x, targets, smoothing, block_size)
    losses = sums.wanted * jnp.log(sums.total) - sums.picked
    if targets is None:
        return reduce(losses.reshape(shape), reduction).astype(dtype)
    is_ignored = targets == (-100 if ignore_index is None else ignore_index)
    is_valid = is_ignored | in_range(targets, classes)
    losses = jnp.where(is_valid, 1, jnp.nan).astype(losses.dtype) * losses
    weights = sums.weight_of_label
    losses, weights = (jnp.where(is_ignored, 0, v) for v in (losses, weights))
    reduced = reduce_weighted(losses.reshape(shape), weights.reshape(shape), reduction)
    return reduced.astype(dtype)


class _Columns(NamedTuple):
    """Arrays with an entry for each class along the first axis; ``None``: constant."""

    matrix: Array  # [C, places * D]
    bias: Array | None  # [C, places]
    weight: Array | None  # [C]
    probabilities: Array | None  # [C, N, places]


class _Sums(NamedTuple):
    """Sums over classes, for each sample and place."""

    top: Array  # the largest logit
    total: Array  # of exp(logit - top)
    wanted: Array  # of the weighted target probabilities q
    picked: Array  # of q * (logit - top)
    weight_of_label: Array


def _over_blocks(
    columns: _Columns,
    x: Array,
    targets: Array | None,
    smoothing: Array | None,
    block_size: int,
) -> _Sums:
    classes = len(columns.matrix)
    places = columns.matrix.shape[1] // x.shape[1]
    # Like the sums later: spread over devices like the arguments.
    zero = 0 * lax.stop_gradient(x[:, :1] + _as_like(columns.matrix[:1, :1], x))
    zero = jnp.broadcast_to(zero, (len(x), places))
    if targets is not None:
        zero = zero + (0 * targets).astype(x.dtype)
    lowest = jnp.full_like(zero, jnp.finfo(x.dtype).min / 4)
    sums = _Sums(lowest, zero, zero, zero, zero)
    # Nothing of a block's logits is kept for the derivative.
    body = jax.checkpoint(
        partial(_with_block, x, targets, smoothing, classes), prevent_cse=False
    )
    size = _size_of_blocks(classes, block_size)
    count = classes // size
    blocks = jax.tree.map(
        lambda a: a[: count * size].reshape(count, size, *a.shape[1:]), columns
    )
    starts = size * jnp.arange(count, dtype=jnp.int32)

    def step(sums: _Sums, block: tuple[Array, _Columns]) -> tuple[_Sums, None]:
        return body(sums, *block), None

    sums, _ = lax.scan(step, sums, (starts, blocks))
    if count * size < classes:
        rest = jax.tree.map(lambda a: a[count * size :], columns)
        sums = body(sums, jnp.int32(count * size), rest)
    return sums


def _as_like(corner: Array, x: Array) -> Array:
    return jnp.broadcast_to(corner.astype(x.dtype), (len(x), 1))


def _size_of_blocks(classes: int, most: int) -> int:
    """The largest size that divides ``classes``, unless it is below half the maximum.

    If blocks leave a remainder, they are sliced from the classifier, which copies it.
    """
    most = min(most, classes)
    sizes = range(most, most // 2, -1)
    return next((size for size in sizes if classes % size == 0), most)


def _with_block(
    x: Array,
    targets: Array | None,
    smoothing: Array | None,
    classes: int,
    sums: _Sums,
    start: Array,
    block: _Columns,
) -> _Sums:
    """The sums with those of one more block of classes."""
    matrix = lax.convert_element_type(block.matrix, x.dtype)
    logits = x @ matrix.reshape(-1, x.shape[1]).T
    logits = logits.reshape(len(x), len(matrix), -1)
    if block.bias is not None:
        logits = logits + lax.broadcast_in_dim(block.bias, logits.shape, (1, 2))
    top = lax.stop_gradient(jnp.maximum(sums.top, jnp.max(logits, 1)))
    shifted = logits - top[:, None]
    weight = jnp.ones_like(logits)
    if block.weight is not None:
        weight = lax.broadcast_in_dim(block.weight, logits.shape, (1,))
    if block.probabilities is not None:
        shares = jnp.moveaxis(block.probabilities, 0, 1)
    elif targets is not None:
        label = start.astype(targets.dtype) + lax.broadcasted_iota(
            targets.dtype, logits.shape, 1
        )
        shares = (label == targets[:, None]).astype(x.dtype)
    labeled = jnp.sum(weight * shares, 1)
    if smoothing is not None:
        shares = (1 - smoothing) * shares + smoothing / classes
    shares = weight * shares
    fallen = sums.top - top
    return _Sums(
        top=top,
        total=sums.total * jnp.exp(fallen) + jnp.sum(jnp.exp(shifted), 1),
        wanted=sums.wanted + jnp.sum(shares, 1),
        picked=sums.picked + sums.wanted * fallen + jnp.sum(shares * shifted, 1),
        weight_of_label=sums.weight_of_label + labeled,
    )


def _output_shape(x: Array, matrix: Array) -> tuple[int, ...]:
    """The shape of the losses."""
    if x.ndim not in (1, 2):
        raise ValueError(f"input must be of shape (D,) or (N, D), found {x.shape}")
    if matrix.ndim < 2 or matrix.shape[-1] != x.shape[-1] or matrix.shape[0] == 0:
        raise ValueError(
            f"linear_weight must be of shape (C, {x.shape[-1]}) with C > 0, or "
            f"(C, d1, ..., dK, {x.shape[-1]}), found {matrix.shape}"
        )
    if x.ndim == 1 and matrix.ndim > 2:
        raise ValueError(
            "input must be of shape (N, D) with a linear_weight of more than two axes, "
            f"found {x.shape} and {matrix.shape}"
        )
    return (*x.shape[:-1], *matrix.shape[1:-1])


def _labels(target: Any, classes: int, ignore_index: int | None) -> Array:
    ignored = -100 if ignore_index is None else ignore_index
    bounds = jnp.iinfo(jnp.int32)
    check_integer("ignore_index", ignored, at_least=bounds.min, at_most=bounds.max)
    labels = as_integers("target", target)
    check_labels("target", labels, classes, also=ignored)
    return labels


def _probabilities(
    dtype: Any,
    target: Any,
    shape: tuple[int, ...],
    classes: int,
    ignore_index: int | None,
) -> Array:
    """Class probabilities as [C, N, places]."""
    target = jnp.asarray(target)
    axis = min(len(shape), 1)
    expected = (*shape[:axis], classes, *shape[axis:])
    if target.shape != expected:
        raise ValueError(
            f"target must be labels of shape {shape} or class probabilities of shape "
            f"{expected}, found {target.shape}"
        )
    if not jnp.issubdtype(target.dtype, jnp.floating):
        raise TypeError(
            "target must be of a floating dtype where it is class probabilities, found "
            f"{target.dtype}"
        )
    if ignore_index is not None and ignore_index >= 0:
        raise ValueError(
            "ignore_index must be negative where target is class probabilities, "
            f"found {ignore_index}"
        )
    moved = jnp.moveaxis(target.astype(dtype), axis, 0)
    return moved.reshape(classes, shape[0] if axis else 1, -1)


def _bias(bias: Any, dtype: Any, places: int, shape: tuple[int, ...]) -> Array | None:
    """The bias as [C, places]."""
    if bias is None:
        return None
    array = jnp.asarray(bias).astype(dtype)
    if array.shape not in (shape, shape[:1]):
        raise ValueError(
            f"linear_bias must be of shape {shape} or {shape[:1]}, found {array.shape}"
        )
    return jnp.broadcast_to(array.reshape(shape[0], -1), (shape[0], places))


def _checked_weight(weight: Array | None, classes: int) -> Array | None:
    if weight is not None and weight.shape != (classes,):
        raise ValueError(
            f"weight must be of shape ({classes},), one for each class, "
            f"found {weight.shape}"
        )
    return weight
