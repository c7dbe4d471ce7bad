"""The compiled programs that a stateful optimizer runs."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp

from .._gradients import value_and_gradient
from .._transformation import GradientTransformation, State
from .._tree import PyTree
from ..fused import apply_gradients
from ..wrappers._chain import chain
from ._cohorts import count_steps


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
    loss_fn: Callable[..., Any], has_aux: bool, params: PyTree, args: tuple[Any, ...]
) -> tuple[Any, PyTree]:
    """The loss and torch's gradient."""
    return value_and_gradient(loss_fn, has_aux=has_aux)(params, *args)


def _train(
    loss_fn: Callable[..., Any],
    has_aux: bool,
    tx: GradientTransformation,
    state: State,
    params: PyTree,
    batch: tuple[Any, ...],
) -> tuple[PyTree, State, Any]:
    value, grads = value_and_grad(loss_fn, has_aux, params, batch)
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
    """``function`` compiled for each set of arguments that it may write over.

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
    """The arguments that a step writes over.

    Nothing while JAX looks for NaN or infinity: then a step fails after it has run.
    """
    if jax.config.values["jax_debug_nans"] or jax.config.values["jax_debug_infs"]:
        return ()
    return ("state", "params") if donate_params else ("state",)


def counted(tx: GradientTransformation) -> GradientTransformation:
    """``tx`` with a count of steps in its state."""
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
            "jax.grad or another transformation of JAX; nothing was changed. "
            "compile_step(loss_fn) compiles a whole training step, and functional() "
            "gives the pure transformation, state and parameters"
        )
