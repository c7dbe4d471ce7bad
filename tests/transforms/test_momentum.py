"""Momentum against torch.optim.SGD and the recursion in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

GRADS = np.random.default_rng(0).normal(size=(6, 4, 3)).astype(np.float32)
SETTINGS = [
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.5},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.0, "dampening": 0.25},
    {"momentum": 1.5, "dampening": -1.0},
]


def run(tx, dtype=jnp.float32):
    def step(state, grad):
        updates, state = tx.update(grad, state)
        return state, (updates, state.momentum_buffer)

    state, found = jax.lax.scan(
        step, tx.init(jnp.zeros((4, 3), dtype)), GRADS.astype(dtype)
    )
    assert int(state.step) == len(GRADS)
    return found


def reference(momentum, dampening=0.0, nesterov=False):
    buffer, found = None, []
    for grad in np.float64(GRADS):
        if buffer is None:
            buffer = grad.copy()
        else:
            buffer = momentum * buffer + (1 - dampening) * grad
        found.append((grad + momentum * buffer if nesterov else buffer, buffer))
    return [np.stack(x) for x in zip(*found, strict=True)]


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_recursion(setting, x64):
    wanted = reference(**setting)
    # Six steps of two roundings each, growing by at most 1.5 a step.
    for dtype, rtol in ((jnp.float32, 3e-6), (jnp.float64, 1e-14)):
        for found, value in zip(
            run(of.momentum(**setting), dtype), wanted, strict=True
        ):
            assert found.dtype == dtype
            np.testing.assert_allclose(found, value, rtol=rtol, atol=rtol)


@pytest.mark.torch
@pytest.mark.parametrize("setting", SETTINGS[:3])
def test_it_is_that_of_torchs_sgd(setting):
    import torch

    param = torch.zeros((4, 3), requires_grad=True)
    optimizer = torch.optim.SGD([param], lr=1.0, **setting)
    updates, buffers = run(of.momentum(**setting))
    for grad, update, buffer in zip(GRADS, updates, buffers, strict=True):
        before = param.detach().clone()
        param.grad = torch.tensor(grad)
        optimizer.step()
        moved = (before - param.detach()).numpy()
        # The difference of two parameters of order 10 in float32.
        np.testing.assert_allclose(update, moved, atol=3e-6)
        theirs = optimizer.state[param]["momentum_buffer"].numpy()
        np.testing.assert_allclose(buffer, theirs, rtol=3e-7, atol=1e-7)


def test_a_sweep_and_a_derivative(x64):
    values = jnp.array([0.1, 0.5, 0.9])

    def last(momentum):
        return run(of.momentum(momentum), jnp.float64)[0][-1].sum()

    found = jax.vmap(jax.value_and_grad(last))(values)
    step = 1e-6
    for value, total, slope in zip(values, *found, strict=True):
        np.testing.assert_allclose(total, last(value), rtol=1e-12)
        difference = (last(value + step) - last(value - step)) / (2 * step)
        # Central differences: step**2 from the formula, 1e-16 / step from rounding.
        np.testing.assert_allclose(slope, difference, rtol=1e-7)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.momentum(-0.1), "momentum must be at least 0, found -0.1"),
        (lambda: of.momentum(float("nan")), "momentum must be at least 0, found nan"),
        (lambda: of.momentum(0.9, "x"), "dampening must be a number"),
        (lambda: of.momentum(0.0, nesterov=True), "nesterov needs momentum above 0"),
        (lambda: of.momentum(0.9, 0.1, nesterov=True), "and dampening=0.1"),
        (
            lambda: of.momentum(0.9).update(
                {"w": jnp.ones(3)}, of.momentum(0.9).init({"w": jnp.ones(2)})
            ),
            r"differ in shape at 'w': \(3,\) and \(2,\)",
        ),
        (
            lambda: of.momentum(0.9).update(
                {"w": jnp.ones(3)}, of.momentum(0.9).init({"v": jnp.ones(3)})
            ),
            "updates has no leaf at 'v'; the state's momentum_buffer has no leaf",
        ),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()
