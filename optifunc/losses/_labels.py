"""Class labels and lengths: integers, checked if they are known."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ._arguments import check_values, is_traced


def as_integers(name: str, value: Any) -> Array:
    """An argument of labels or lengths, as JAX's default integers.

    **Raises:** `TypeError` if it does not have an integer dtype, `ValueError` if a
    NumPy array or a list has a number beyond that dtype.
    """
    default = jnp.iinfo(jnp.result_type(int))
    array: Any = value if isinstance(value, Array) else np.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(f"{name} must be of an integer dtype, found {array.dtype}")
    if not isinstance(array, Array):
        for extreme in (array.min(initial=0), array.max(initial=0)):
            if not default.min <= extreme <= default.max:
                raise ValueError(
                    f"{name} must be in the range of {default.dtype}, found {extreme}"
                )
    with evaluated(value):
        labels = jnp.asarray(array)
        if jnp.iinfo(labels.dtype).max > default.max:
            # Unsigned: a number that would turn negative is not a label anyway.
            labels = jnp.minimum(labels, jnp.asarray(default.max, labels.dtype))
        # A uint8 could not be compared with an `ignore_index` of -100.
        return labels.astype(default.dtype)


def evaluated(*values: Any) -> AbstractContextManager[None]:
    """Compute immediately, even in a traced function, if none of ``values`` is traced.

    So known labels and lengths stay known and can be checked.
    """
    return nullcontext() if is_traced(*values) else jax.ensure_compile_time_eval()


def check_labels(
    name: str, labels: Array, classes: int, also: int | None = None
) -> None:
    """Check that each label is one of ``classes`` classes, or ``also``.

    **Raises:** `ValueError`, with the first label that is not.
    """
    check_values(
        name,
        labels,
        lambda label: in_range(label, classes) | (label == also),
        f"in [0, {classes})" + ("" if also is None else f" or {also}"),
    )


def check_scores(name: str, scores: Array) -> None:
    """Check the scores of one sample's or several samples' classes.

    **Raises:** `ValueError` for another rank, or if there are no classes.
    """
    if scores.ndim not in (1, 2) or scores.shape[-1] == 0:
        raise ValueError(
            f"{name} must be of shape (C,) or (N, C) with C > 0, found {scores.shape}"
        )


def in_range(labels: Array, classes: int) -> Array:
    """Whether each label is one of ``classes`` classes."""
    return (labels >= 0) & (labels < classes)


def nan_unless(
    valid: Array, losses: Array, scores: Array, axis: int | tuple[int, ...]
) -> Array:
    """``losses`` with NaN where not ``valid``, also for the gradient of ``scores``.

    A value computed from a label out of range, which could not be checked, must not
    look like a loss. Each loss has its scores along ``axis``.
    """
    doubtful = jnp.where(jnp.expand_dims(valid, axis), 0, scores)
    factor = jnp.where(valid, 1, jnp.nan).astype(scores.dtype)
    return losses + factor * jnp.sum(doubtful, axis)
