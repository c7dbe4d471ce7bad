"""The compiled programs that a stateful optimizer runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
from jax import Array, lax

from .._gradients import value_and_gradient
from .._rounding import widened
from .._transformation import GradientTransformation, State
from .._tree import PyTree
from ..fused import apply_gradients
from ..wrappers._chain import chain
from ..wrappers._dynamic_loss_scale import scale_in as scale_in, times_scale
from ._cohorts import by_part, count_steps


def _step(
    tx: GradientTransformation, state: State, params: PyTree, grads: PyTree, extra: Any
) -> tuple[PyTree, State]:
    return apply_gradients(tx, grads, state, params, **extra)


def _step_with_loss(
    value_fn: Callable[..., Any],
    tx: GradientTransformation,
    state: State,
    params: PyTree,
    grads: PyTree,
    extra: Any,
) -> tuple[PyTree, State]:
    given = {"value_fn": _on_batch(value_fn, False, extra["args"])}
    return apply_gradients(tx, grads, state, params, **given)


def _on_batch(
    loss_fn: Callable[..., Any], has_aux: bool, args: tuple[Any, ...]
) -> Callable[[PyTree], Any]:
    """The loss of one batch, as a function of the parameters."""

    def value_fn(params: PyTree) -> Any:
        value = loss_fn(params, *args)
        return value[0] if has_aux else value

    return value_fn


@partial(jax.jit, static_argnums=(0, 1))
def value_and_grad(
    loss_fn: Callable[..., Any],
    has_aux: bool,
    params: PyTree,
    args: tuple[Any, ...],
    scales: tuple[Any, ...] = (),
) -> tuple[Any, PyTree]:
    """The loss, and torch's gradient of the loss times a scale.

    **Arguments:**

    - ``loss_fn``, ``has_aux``, ``params``, ``args``: as in `Parameters.backward`.
    - ``scales``: empty, one scale for all parameters, or one for each. If there are
      several, the loss is multiplied by the smallest.
    """
    if not scales:
        return value_and_gradient(loss_fn, has_aux=has_aux)(params, *args)
    least = jnp.min(jnp.stack(scales))

    def scaled(params: PyTree, *args: Any) -> tuple[Array, Any]:
        value = loss_fn(params, *args)
        return times_scale(value[0] if has_aux else value, least), value

    (_, value), grads = value_and_gradient(scaled, has_aux=True)(params, *args)
    if len(scales) == 1:
        return value, grads
    structure: Any
    leaves, structure = jax.tree.flatten(widened(grads))
    pairs = zip(leaves, scales, strict=True)
    return value, structure.unflatten(
        g * lax.convert_element_type(scale / least, g.dtype) for g, scale in pairs
    )


def _scales_of(tx: GradientTransformation, state: State) -> tuple[Any, ...]:
    """The loss scales that the state contains, in the form for `value_and_grad`.

    An optimizer with several groups has a state, and a scale in it, for each.
    """
    if not isinstance(tx, by_part):
        scale = scale_in(state)
        return () if scale is None else (scale,)
    found = [(scale_in(own), part) for own, part in zip(state, tx.parts, strict=True)]
    return scales_by_leaf(
        {i: scale for scale, part in found if scale is not None for i in part},
        sum(len(part) for _, part in found),
    )


def scales_by_leaf(scales: Mapping[int, Any], count: int) -> tuple[Any, ...]:
    """The scales of ``count`` parameters, 1 for those without one."""
    if not scales:
        return ()
    if len(scales) == count and len({id(scale) for scale in scales.values()}) == 1:
        return (scales[0],)
    return tuple(scales.get(i, jnp.float32(1)) for i in range(count))


def _train(
    loss_fn: Callable[..., Any],
    has_aux: bool,
    tx: GradientTransformation,
    state: State,
    params: PyTree,
    batch: tuple[Any, ...],
) -> tuple[PyTree, State, Any]:
    scales = _scales_of(tx, state)
    value, grads = value_and_grad(loss_fn, has_aux, params, batch, scales)
    extra = {
        "value": value[0] if has_aux else value,
        "value_fn": _on_batch(loss_fn, has_aux, batch),
    }
    params, state = apply_gradients(tx, grads, state, params, **extra)
    return params, state, value


@jax.jit
def add(old: PyTree, new: PyTree) -> PyTree:
    """The sum of two trees."""
    return jax.tree.map(jnp.add, old, new)


def donating(
    function: Callable[..., Any], static: tuple[int, ...] = ()
) -> dict[tuple[str, ...], Callable[..., Any]]:
    """``function`` compiled for each set of arguments that it may overwrite.

    **Arguments:**

    - ``function``: has arguments called ``state`` and ``params``.
    - ``static``: positions of its static arguments.
    """
    return {
        names: jax.jit(function, static_argnums=static, donate_argnames=names)
        for names in ((), ("state",), ("state", "params"))
    }


# `apply[donated](tx, state, params, grads, extra) -> (params, state)`
apply = donating(_step)
# The same with a static `value_fn` before `tx`, and `extra` of its further arguments.
apply_with_loss = donating(_step_with_loss, static=(0,))
# `train[donated](loss_fn, has_aux, tx, state, params, batch) -> (params, state, value)`
train = donating(_train, static=(0, 1))


def donated(donate_params: bool) -> tuple[str, ...]:
    """The arguments that a step overwrites.

    Nothing while JAX checks for NaN or infinity: then a step fails after it has run.
    """
    config: Any = jax.config  # `config.values` would be a new dict of all options
    if config.jax_debug_nans or config.jax_debug_infs:
        return ()
    return ("state", "params") if donate_params else ("state",)


def counted(tx: GradientTransformation) -> GradientTransformation:
    """``tx`` with a step count in its state."""
    return chain(tx, count_steps())


with jax.ensure_compile_time_eval():
    _NOT_TRACING = jax.extend.core.get_opaque_trace_state()


def refuse_tracing(what: str) -> None:
    """Check that no function is being traced.

    **Raises:** `RuntimeError` that says what to use inside `jax.jit`.
    """
    if jax.extend.core.get_opaque_trace_state() != _NOT_TRACING:
        raise RuntimeError(
            f"{what} changes the optimizer, so it cannot be used inside jax.jit, "
            "jax.grad or another JAX transformation; nothing was changed. "
            "compile_step(loss_fn) compiles a whole training step, and functional() "
            "returns the pure transformation, state and parameters"
        )
