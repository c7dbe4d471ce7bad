"""diffGrad and ACProp: recorded runs, NumPy and optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

from .authors import assert_follows

GRADS = np.random.default_rng(0).normal(size=(20, 2, 3))


def test_recorded_runs(x64):
    assert_follows("diffgrad", of.diffgrad(0.1))
    assert_follows("acprop", of.acprop(0.1))


def path(tx, apply_updates=of.apply_updates):
    def step(carry, grads):
        params, state = carry
        updates, state = tx.update(grads, state, params)
        params = apply_updates(params, updates)
        return (params, state), params

    start = jnp.ones((2, 3))
    with jax.numpy_dtype_promotion("standard"):
        return jax.lax.scan(step, (start, tx.init(start)), jnp.asarray(GRADS))[1]


def test_diffgrad_against_numpy(x64):
    param, m, v, before = np.ones((2, 3)), 0.0, 0.0, 0.0
    expected = []
    for t, g in enumerate(GRADS, 1):
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g**2
        friction = 1 / (1 + np.exp(-np.abs(before - g)))
        size = np.sqrt(1 - 0.9**t) / (1 - 0.8**t)
        d = friction * size * m / (np.sqrt(v) + 1e-3)
        before, param = g, param - 0.05 * (d + 0.1 * param)
        expected.append(param)
    found = path(of.diffgrad(0.05, (0.8, 0.9), 1e-3, 0.1))
    np.testing.assert_allclose(found, expected, 0, 1e-12)


def test_a_constant_gradient_goes_at_half_the_speed():
    tx = of.diffgrad(0.1)
    params, state = jnp.ones(3), tx.init(jnp.ones(3))
    for expected in (-0.1 / (1 + np.exp(-2.0)), -0.05, -0.05):
        updates, state = tx.update(2 * params, state, params)
        np.testing.assert_allclose(updates, expected, 1e-5)


def test_acprop_agrees_with_optax(x64):
    ours = of.acprop(0.05, (0.8, 0.9), 1e-3, 0.1, eps_root=1e-2)
    theirs = optax.contrib.acprop(0.05, 0.8, 0.9, 1e-3, 1e-2, weight_decay=0.1)
    # The first powers of optax's rates are of float32.
    np.testing.assert_allclose(path(ours), path(theirs, optax.apply_updates), 0, 1e-6)


def test_acprop_without_gradients():
    for eps in (0.0, 1e-16):
        tx, params = of.acprop(eps=eps, eps_root=eps), jnp.ones(2)
        state = tx.init(params)
        for _ in range(3):
            updates, state = tx.update(jnp.zeros(2), state, params)
            np.testing.assert_array_equal(updates, 0)


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (of.diffgrad, {"eps": -1.0}, "eps must be at least 0"),
        (of.diffgrad, {"betas": (1.0, 0.9)}, r"betas\[0\] must be .* below 1"),
        (of.acprop, {"eps": -1.0}, "eps must be at least 0"),
        (of.acprop, {"eps_root": -1.0}, "eps_root must be at least 0, found -1"),
        (of.acprop, {"betas": (0.9, 1.0)}, r"betas\[1\] must be .* below 1"),
    ],
)
def test_bad_arguments(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)
