"""L-BFGS: a whole fit, with the line search that each library has."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import optifunc as of
from optifunc import optim
from optifunc.losses import cross_entropy

from .agreement import check_agreement
from .contenders import chosen
from .pytorch import torch
from .results import Group
from .timing import Budget, interleaved, no_collection, settled

ROWS, FEATURES, CLASSES = 2000, 100, 10
PENALTY = 1e-3
MOST_ITERATIONS = 200
HISTORY = 10
TOLERANCE = 1e-4  # of the largest component of the gradient
# The minimum is one point, and near it the loss is flat.
LOSS_TOLERANCE = 1e-5

Fit = Callable[[], tuple[float, int]]  # the loss at the end, the iterations


def data() -> tuple[np.ndarray, np.ndarray]:
    """Classes drawn from the model itself, so that the fit is no separation."""
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((ROWS, FEATURES), np.float32)
    # Columns of different size make it worth while to learn the curvature.
    inputs *= np.geomspace(0.1, 3, FEATURES, dtype=np.float32)
    logits = inputs @ generator.standard_normal((FEATURES, CLASSES), np.float32)
    noise = generator.gumbel(size=logits.shape)
    return inputs, np.argmax(0.3 * logits + noise, axis=1).astype(np.int32)


def loss_fn(weights: jax.Array, inputs: jax.Array, labels: jax.Array) -> jax.Array:
    loss = cross_entropy(inputs @ weights, labels)
    return loss + PENALTY * jnp.sum(weights * weights)


ARGUMENTS: dict[str, Any] = {
    "max_iter": MOST_ITERATIONS,
    "tolerance_grad": TOLERANCE,
    "tolerance_change": 0.0,
    "history_size": HISTORY,
    "line_search_fn": "strong_wolfe",
}


def _pure(inputs: jax.Array, labels: jax.Array) -> Fit:
    tx = of.lbfgs(**ARGUMENTS)

    @jax.jit
    def fit(weights: jax.Array, inputs: jax.Array, labels: jax.Array) -> Any:
        value_fn = partial(loss_fn, inputs=inputs, labels=labels)
        state = tx.init(weights)
        updates, (state,) = tx.update(weights, state, weights, value_fn=value_fn)
        return value_fn(of.apply_updates(weights, updates)), state.n_iter

    start = jnp.zeros((FEATURES, CLASSES))
    return lambda: jax.device_get(fit(start, inputs, labels))


def _stateful(inputs: jax.Array, labels: jax.Array) -> Fit:
    start = jnp.zeros((FEATURES, CLASSES))
    value = jax.jit(loss_fn)

    def fit() -> tuple[float, int]:
        optimizer = optim.LBFGS(start, **ARGUMENTS)
        optimizer.step(loss_fn, inputs, labels)
        loss = float(value(optimizer.params, inputs, labels))
        return loss, int(optimizer.state[0]["n_iter"])

    return fit


def _optax(inputs: jax.Array, labels: jax.Array) -> Fit:
    tx = optax.lbfgs(memory_size=HISTORY)

    @jax.jit
    def fit(weights: jax.Array, inputs: jax.Array, labels: jax.Array) -> Any:
        value_fn = partial(loss_fn, inputs=inputs, labels=labels)
        value_and_grad = optax.value_and_grad_from_state(value_fn)

        def unfinished(carry: Any) -> Any:
            _, state, iterations = carry
            largest = jnp.max(jnp.abs(optax.tree.get(state, "grad")))
            tried = (iterations == 0) | (largest > TOLERANCE)
            return tried & (iterations < MOST_ITERATIONS)

        def iterate(carry: Any) -> Any:
            weights, state, iterations = carry
            value, grad = value_and_grad(weights, state=state)
            updates, state = tx.update(
                grad, state, weights, value=value, grad=grad, value_fn=value_fn
            )
            return optax.apply_updates(weights, updates), state, iterations + 1

        start = (weights, tx.init(weights), jnp.zeros((), jnp.int32))
        weights, _, iterations = jax.lax.while_loop(unfinished, iterate, start)
        return value_fn(weights), iterations

    start = jnp.zeros((FEATURES, CLASSES))
    return lambda: jax.device_get(fit(start, inputs, labels))


def _torch(inputs: jax.Array, labels: jax.Array) -> Fit:
    x, y = torch.from_dlpack(inputs), torch.from_dlpack(labels).long()

    def fit() -> tuple[float, int]:
        weights = torch.zeros((FEATURES, CLASSES), device=x.device, requires_grad=True)
        optimizer = torch.optim.LBFGS([weights], **ARGUMENTS)

        def loss() -> Any:
            fitted = torch.nn.functional.cross_entropy(x @ weights, y)
            return fitted + PENALTY * (weights * weights).sum()

        def closure() -> Any:
            optimizer.zero_grad()
            value = loss()
            value.backward()
            return value

        optimizer.step(closure)
        with torch.no_grad():
            return float(loss()), optimizer.state[weights]["n_iter"]

    return fit


def timed(fit: Fit) -> float:
    begin = time.perf_counter()
    fit()  # its result is a number on the host: nothing is left to wait for
    return time.perf_counter() - begin


def fits(budget: Budget, names: list[str] | None = None) -> Iterator[Group]:
    """The time of a logistic regression to a given gradient, compiled before."""
    inputs, labels = map(jax.device_put, data())
    makers = {"optax": _optax, "optifunc": _pure, "optifunc.optim": _stateful}
    if torch is not None:
        makers["torch"] = _torch
    contenders = {
        name: make(inputs, labels) for name, make in chosen(makers, names).items()
    }
    if not contenders:
        return
    expected = None
    remarks = []
    for name, fit in contenders.items():
        loss, iterations = fit()
        found = {"loss": np.array(float(loss))}
        expected = expected or found
        check_agreement(name, found, expected, LOSS_TOLERANCE)
        remarks.append(f"{name}: loss {loss:.6f} after {iterations} iterations")
    turns = {
        name: partial(settled, partial(timed, fit)) for name, fit in contenders.items()
    }
    with no_collection():
        samples = interleaved(turns, budget)
    yield Group("whole fit", "regression", "lbfgs", "s", samples, remarks)
