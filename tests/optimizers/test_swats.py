"""SWATS: the recorded run, and the switch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of
from optifunc import optim

from .authors import assert_follows

pytestmark = pytest.mark.slow

CURVATURES = np.array([0.5, 2.0, 3.0])


def test_the_recorded_run(x64):
    # pytorch_optimizer's `eps` is the tolerance, too; it switches after two steps.
    tx = of.swats(0.1, eps=0.5, tolerance=0.5)
    assert_follows("swats", tx)


def run(tx, params, steps):
    """Parameters and the rate after each step on a quadratic function."""

    def step(carry, _):
        params, state = carry
        grads = jax.tree.map(lambda p: jnp.asarray(CURVATURES) * p, params)
        updates, state = tx.update(grads, state, params)
        params = of.apply_updates(params, updates)
        return (params, state), (params, of.find_in_state(state, "rate"))

    return jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), None, steps)[1])(
        params
    )


def test_the_rule_in_numpy_with_a_schedule_and_decay(x64):
    """Over two leaves together; the schedule goes on after the switch."""
    beta1, beta2, eps, tolerance, decay = 0.8, 0.9, 1e-3, 0.02, 0.1
    tx = of.swats(
        lambda t: 0.1 / (1 + t.astype(jnp.float64)),
        (beta1, beta2),
        eps,
        decay,
        tolerance=tolerance,
    )
    p = np.array([[1.0, -0.5, 0.3], [0.2, 2.0, -1.0]])
    points, rates = run(tx, {"a": jnp.asarray(p[0]), "b": jnp.asarray(p[1])}, 40)
    m = v = a = rate = 0.0
    for t in range(1, 41):
        g, lr = CURVATURES * p, 0.1 / t
        if rate:
            m = beta1 * m + g
            d = rate * (1 - beta1) * m
        else:
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g**2
            d = np.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (np.sqrt(v) + eps)
            r = np.sum(d * d) / np.sum(d * g)
            a = beta2 * a + (1 - beta2) * r
            settled = a / (1 - beta2**t)
            if t > 1 and abs(settled - r) <= tolerance * abs(r):
                rate, m, switched = settled, 0.0, t
        p = p - lr * (d + decay * p)
        np.testing.assert_allclose([points["a"][t - 1], points["b"][t - 1]], p, 1e-9)
        np.testing.assert_allclose(rates[t - 1], rate, rtol=1e-9)
    assert 2 < switched < 30


def test_it_does_not_switch_to_a_rate_that_climbs(x64):
    # A gradient that turns round: momentum goes on uphill for a while.
    tx, params = of.swats(0.1, tolerance=1e9), jnp.zeros(3)
    state = tx.init(params)
    for sign in (1.0, -1.0, -1.0):
        _, state = tx.update(jnp.full(3, sign), state, params)
        assert of.find_in_state(state, "rate") >= 0


def test_a_gradient_of_zero_says_nothing():
    tx, params = of.swats(tolerance=0.5), jnp.ones(3)
    state = tx.init(params)
    for _ in range(3):
        updates, state = tx.update(jnp.zeros(3), state, params)
    np.testing.assert_array_equal(updates, 0)
    assert of.find_in_state(state, "rate") == 0


def test_the_stateful_one(x64):
    tx, params = of.swats(0.1, tolerance=0.5), jnp.array([1.0, 2.0, -1.0])
    points, _ = run(tx, params, 4)
    optimizer = optim.SWATS(params, lr=0.1, tolerance=0.5)
    for point in points:
        optimizer.step(grads=jnp.asarray(CURVATURES) * optimizer.params)
        np.testing.assert_allclose(optimizer.params, point, rtol=1e-12)


def test_arguments_out_of_range():
    for arguments in ({"tolerance": -1.0}, {"eps": -1.0}, {"betas": (0.9, 1.0)}):
        with pytest.raises(ValueError, match=next(iter(arguments))):
            of.swats(**arguments)
