"""Leaves as matrices of outputs by inputs, for any layout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import Array

from .._checks import check_integer
from .._tree import PyTree, check_real, leaves_with_names

# The axis, or the axes, of a kernel's outputs.
OutputAxis: TypeAlias = int | tuple[int, ...]


def check_axes(output_axis: Any, batch_axes: Any) -> None:
    """Check the arguments that describe the layout of leaves."""
    check_integer("batch_axes", batch_axes, at_least=0)
    if output_axis is None:
        return
    for axis in output_axis if isinstance(output_axis, tuple) else (output_axis,):
        check_integer("output_axis", axis, at_least=-32)


def check_matrices(
    name: str, params: PyTree, output_axis: OutputAxis | None, batch_axes: int
) -> None:
    """Check that every parameter is a matrix, or can be treated as one.

    **Raises:** `TypeError` for anything but a real array, `ValueError` for too few
    axes, or (where ``output_axis`` is None) more than two; both name the leaf.
    """
    check_real(params, (name, "parameters"))
    for path, leaf in leaves_with_names(params):
        shape = np.shape(leaf)
        axes = len(shape) - batch_axes
        if axes < 2 or (output_axis is None and axes > 2):
            more = "; or say with output_axis which axis counts the outputs"
            raise ValueError(
                f"{name} takes only matrices, found shape {shape} at {path!r}; "
                f"give the others to another optimizer: "
                f"partition({{'matrix': {name}(), 'other': adamw()}}, "
                f"label_matrices()){more if axes > 2 else ''}"
            )
        outputs = _output_axes(len(shape), output_axis, batch_axes)
        is_known = all(batch_axes <= i < len(shape) for i in outputs)
        if not is_known or not 0 < len({*outputs}) == len(outputs) < axes:
            raise ValueError(
                f"output_axis is {output_axis}, with which the leaf of shape {shape} "
                f"at {path!r} is not a matrix of outputs by inputs"
            )


def _output_axes(
    axes: int, output_axis: OutputAxis | None, batch_axes: int
) -> tuple[int, ...]:
    if output_axis is None:
        return (batch_axes,)
    given = output_axis if isinstance(output_axis, tuple) else (output_axis,)
    return tuple(i + axes if i < 0 else i for i in given)


def _matrix_order(
    axes: int, output_axis: OutputAxis | None, batch_axes: int
) -> tuple[int, ...]:
    """Axes of the batch, of the outputs, of the inputs."""
    outputs = _output_axes(axes, output_axis, batch_axes)
    inputs = [i for i in range(batch_axes, axes) if i not in outputs]
    return (*range(batch_axes), *outputs, *inputs)


def matrix_shape(
    shape: Sequence[int], output_axis: OutputAxis | None, batch_axes: int
) -> tuple[int, ...]:
    """The shape ``[..., outputs, inputs]`` of a leaf as matrices."""
    outputs = _output_axes(len(shape), output_axis, batch_axes)
    inputs = [i for i in range(batch_axes, len(shape)) if i not in outputs]
    return (
        *shape[:batch_axes],
        math.prod(shape[i] for i in outputs),
        math.prod(shape[i] for i in inputs),
    )


def as_matrix(leaf: Array, output_axis: OutputAxis | None, batch_axes: int) -> Array:
    """A leaf as matrices of outputs by inputs."""
    order = _matrix_order(leaf.ndim, output_axis, batch_axes)
    shape = matrix_shape(leaf.shape, output_axis, batch_axes)
    return jnp.transpose(leaf, order).reshape(shape)


def from_matrix(
    matrix: Array,
    shape: tuple[int, ...],
    output_axis: OutputAxis | None,
    batch_axes: int,
) -> Array:
    """The inverse of `as_matrix` for a leaf of ``shape``."""
    order = _matrix_order(len(shape), output_axis, batch_axes)
    moved = matrix.reshape([shape[i] for i in order])
    return jnp.transpose(moved, [order.index(i) for i in range(len(shape))])
