"""The gradient of one batch, computed in parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ._checks import check_choice, check_function, check_integer
from ._tree import PyTree, compute_dtype, leaves_with_names


def microbatched_value_and_grad(
    loss_fn: Callable[..., Any],
    size: int,
    *,
    has_aux: bool = False,
    aux: str = "mean",
) -> Callable[..., tuple[Any, PyTree]]:
    """`jax.value_and_grad` of a mean over a batch, in parts that fit into memory.

    ::

        value_and_grad = of.microbatched_value_and_grad(loss_fn, 32)
        loss, grads = value_and_grad(params, inputs, targets)

    The parts are computed one after another in a `jax.lax.scan`, which holds the
    activations of only one part at a time. If ``loss_fn`` is a mean over examples, the
    result is that of the whole batch, up to rounding: a last part with fewer examples
    has less weight. Anything that is not a mean over examples (batch normalization) is
    computed per part. For one update from several batches, see `accumulate_gradients`.

    **Arguments:**

    - ``loss_fn``: ``(params, *batch) -> loss``, the mean over the examples of the
      batch; with ``has_aux``, ``-> (loss, aux)``.
    - ``size``: the number of examples per part, an integer of at least 1.
    - ``has_aux``: whether ``loss_fn`` also returns something in addition to the loss.
    - ``aux``: how the parts' ``aux`` are combined: ``"mean"`` over the examples (also
      for integers and bools, as floats), ``"sum"`` of the parts, or ``"concatenate"``
      along the first axis, for values per example.

    **Returns:** a function of ``(params, *batch)``, where each leaf of ``batch`` has
    the examples along its first axis, that returns ``(loss, grads)``, or ``((loss,
    aux), grads)``, in the dtypes of `jax.value_and_grad`. Sums are taken in at least
    float32.

    **Raises:** `TypeError` if ``loss_fn`` is not a function, `TypeError` or
    `ValueError` if ``size`` is not an integer of at least 1 or ``aux`` is unknown; in
    the returned function, `ValueError` for an empty batch or leaves with different
    numbers of examples.
    """
    call = "microbatched_value_and_grad(loss_fn, size)(params, *batch)"
    check_function("loss_fn", loss_fn, call)
    check_integer("size", size, at_least=1)
    check_choice("aux", aux, ("mean", "sum", "concatenate"))
    value_and_grad = jax.value_and_grad(loss_fn, has_aux=has_aux)

    def part(params: PyTree, batch: tuple[PyTree, ...]) -> tuple[Any, Any, Any]:
        value, grads = value_and_grad(params, *batch)
        loss, extra = value if has_aux else (value, None)
        return loss, grads, extra

    def in_parts(params: PyTree, *batch: PyTree) -> tuple[Any, PyTree]:
        total = _batch_size(batch)
        parts, rest = divmod(total, size)
        main = jax.tree.map(lambda x: _in_rows(x, parts, size), batch)
        last = jax.tree.map(lambda x: x[parts * size :], batch)
        forms = jax.eval_shape(part, params, last if rest else _first_row(main))
        # `aux` is averaged like the loss, or summed, or its parts are stacked.
        weigh_aux = aux == "mean"
        is_stacked = aux == "concatenate"
        carry = jax.tree.map(_zeros_in_sum, forms[:2])
        zeros = _zeros_in_sum if weigh_aux else _zeros_in_exact_sum
        sums = None if is_stacked else jax.tree.map(zeros, forms[2])

        def added(
            carry: Any, batch: tuple[PyTree, ...], count: int
        ) -> tuple[Any, PyTree]:
            loss, grads, extra = part(params, batch)
            means, sums = carry
            share = count / total
            means = jax.tree.map(lambda s, x: _plus(s, x, share), means, (loss, grads))
            if is_stacked:
                return (means, sums), extra
            factor = share if weigh_aux else 1
            sums = jax.tree.map(lambda s, x: _plus(s, x, factor), sums, extra)
            return (means, sums), None

        state: Any = (carry, sums)
        pieces = []
        if parts:
            state, stacked = lax.scan(lambda c, b: added(c, b, size), state, main)
            pieces.append(jax.tree.map(_merged_rows, stacked))
        if rest:
            state, piece = added(state, last, rest)
            pieces.append(piece)
        means, sums = state
        loss, grads = jax.tree.map(_in_dtype_of, means, forms[:2])
        if not has_aux:
            return loss, grads
        if is_stacked:
            return (loss, jax.tree.map(lambda *x: jnp.concatenate(x), *pieces)), grads
        if not weigh_aux:
            return (loss, jax.tree.map(_as_sum, sums, forms[2])), grads
        return (loss, jax.tree.map(_as_mean, sums, forms[2])), grads

    return in_parts


def _batch_size(batch: tuple[PyTree, ...]) -> int:
    """How many examples a batch has."""
    named = list(leaves_with_names(batch))
    sizes = {name: np.shape(leaf)[0] if np.ndim(leaf) else 0 for name, leaf in named}
    if not sizes or min(sizes.values()) == 0 or len(set(sizes.values())) > 1:
        raise ValueError(
            "batch must have at least one example, and the same number along the "
            f"first axis of each leaf; found {sizes}"
        )
    return int(next(iter(sizes.values())))


def _in_rows(leaf: Any, parts: int, size: int) -> Array:
    """The first ``parts * size`` examples, ``size`` in a row."""
    leaf = jnp.asarray(leaf)
    return jnp.reshape(leaf[: parts * size], (parts, size, *leaf.shape[1:]))


def _first_row(rows: PyTree) -> PyTree:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), rows)


def _merged_rows(leaf: Array) -> Array:
    return leaf.reshape(-1, *leaf.shape[2:])


def _is_whole_number(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.bool_))


def _zeros_in_sum(form: Any) -> Array:
    dtype = jnp.float32 if _is_whole_number(form.dtype) else compute_dtype(form.dtype)
    return jnp.zeros(form.shape, dtype)


def _zeros_in_exact_sum(form: Any) -> Array:
    """Whole numbers are added as whole numbers."""
    if jnp.issubdtype(form.dtype, jnp.bool_):
        return jnp.zeros(form.shape, jnp.int32)
    if _is_whole_number(form.dtype):
        return jnp.zeros(form.shape, form.dtype)
    return _zeros_in_sum(form)


def _plus(total: Array, x: Any, factor: Any) -> Array:
    wide = lax.convert_element_type(x, total.dtype)
    return total + wide * lax.convert_element_type(factor, total.dtype)


def _in_dtype_of(x: Array, form: Any) -> Array:
    return lax.convert_element_type(x, form.dtype)


def _as_mean(x: Array, form: Any) -> Array:
    return x if _is_whole_number(form.dtype) else _in_dtype_of(x, form)


def _as_sum(x: Array, form: Any) -> Array:
    return x if jnp.issubdtype(form.dtype, jnp.bool_) else _in_dtype_of(x, form)
