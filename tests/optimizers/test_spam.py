"""SPAM and Stable-SPAM: recorded runs, NumPy, and what they are for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .authors import assert_follows


def test_recorded_runs(x64):
    tx = of.spam(
        0.1, threshold=2.0, grad_accu_steps=1, update_proj_gap=3, warmup_epoch=2
    )
    assert_follows("spam", tx)
    assert_follows("stablespam", of.stable_spam(0.1, update_proj_gap=3))


GRADS = np.random.default_rng(0).normal(size=(20, 2, 3))
GRADS[[4, 9, 15]] *= 30
LR, EPS, BETAS = 0.05, 1e-3, (0.8, 0.9)


def spam_restated(threshold, accumulate, gap, warmup):
    param, m, v, since = np.ones((2, 3)), 0.0, 0.0, None
    for t, g in enumerate(GRADS, 1):
        if t % gap == 0:
            m = v = 0.0
            since = 0
        if threshold and t >= accumulate and t % gap >= accumulate:
            too_large = g**2 > threshold * v
            g = np.where(too_large, np.sign(g) * np.sqrt(threshold * v), g)
        m, v = BETAS[0] * m + (1 - BETAS[0]) * g, BETAS[1] * v + (1 - BETAS[1]) * g**2
        death = 0.0
        if since is not None:
            if since < warmup:
                death = 0.99 * (1 + np.cos(np.pi * (since + 1) / (warmup + 1))) / 2
            since += 1
        size = (1 - death) * np.sqrt(1 - BETAS[1] ** t) / (1 - BETAS[0] ** t)
        param = param - LR * size * m / (np.sqrt(v) + EPS) - LR * 0.1 * param
    return param


def stable_spam_restated(gammas, theta, gap):
    param, m, v, largest, mean, square = np.ones((2, 3)), 0.0, 0.0, 0.0, 0.0, 0.0
    age = 0
    for t, g in enumerate(GRADS, 1):
        peak = np.max(np.abs(g))
        largest = theta * largest + (1 - theta) * peak
        bound = largest / (1 - theta**t)
        g = np.where(np.abs(g) > bound, g / peak * bound, g)
        norm = np.linalg.norm(g)
        mean = gammas[0] * mean + (1 - gammas[0]) * norm
        square = gammas[1] * square + (1 - gammas[1]) * norm**2
        root = np.sqrt(square / (1 - gammas[1] ** t)) + EPS
        g = g / norm * mean / (1 - gammas[0] ** t) / root
        age += 1
        if t % gap == 0:
            m, v, age = 0.0, 0.0, 1
        m, v = BETAS[0] * m + (1 - BETAS[0]) * g, BETAS[1] * v + (1 - BETAS[1]) * g**2
        root = np.sqrt(v / (1 - BETAS[1] ** age)) + EPS
        param = param - LR * m / (1 - BETAS[0] ** age) / root - LR * 0.1 * param
    return param


def final(tx):
    start = jnp.ones((2, 3))

    def step(carry, grads):
        params, state = carry
        updates, state = tx.update(grads, state, params)
        return (of.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (start, tx.init(start)), jnp.asarray(GRADS))[0][0]


@pytest.mark.parametrize("threshold", [0.0, 3.0])
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("warmup", [0, 3])
def test_spam_against_numpy(threshold, accumulate, warmup, x64):
    tx = of.spam(
        LR,
        BETAS,
        EPS,
        0.1,
        threshold=threshold,
        grad_accu_steps=accumulate,
        update_proj_gap=7,
        warmup_epoch=warmup,
    )
    expected = spam_restated(threshold, accumulate, 7, warmup)
    np.testing.assert_allclose(final(tx), expected, 0, 1e-12)


@pytest.mark.parametrize("gap", [7, 100])
def test_stable_spam_against_numpy(gap, x64):
    tx = of.stable_spam(
        LR, BETAS, EPS, 0.1, gamma1=0.6, gamma2=0.7, theta=0.9, update_proj_gap=gap
    )
    expected = stable_spam_restated((0.6, 0.7), 0.9, gap)
    np.testing.assert_allclose(final(tx), expected, 0, 1e-12)


def test_spikes_throw_adam_back_and_these_less():
    """A quadratic whose gradient is now and then 100 times what it should be."""
    hessian = jnp.logspace(-1, 0, 16)
    noise = jax.random.normal(jax.random.key(0), (600, 16))
    is_spike = jnp.arange(600) % 60 == 59

    def mean_loss(tx):
        def step(carry, inputs):
            noise, spike = inputs
            params, state = carry
            grads = hessian * params + 0.1 * noise * jnp.where(spike, 1000, 1)
            updates, state = tx.update(grads, state, params)
            params = of.apply_updates(params, updates)
            return (params, state), jnp.sum(hessian * params**2)

        start = jnp.ones(16)
        _, losses = jax.lax.scan(step, (start, tx.init(start)), (noise, is_spike))
        return float(jnp.mean(losses[-200:]))

    adam = mean_loss(of.adam(0.01, (0.9, 0.99)))
    options = {"threshold": 20.0, "grad_accu_steps": 10}
    losses = [
        mean_loss(of.spam(0.01, (0.9, 0.99), **options)),
        mean_loss(of.stable_spam(0.01, (0.9, 0.99), theta=0.9)),
    ]
    print(f"Adam {adam:.3g}, SPAM {losses[0]:.3g}, Stable-SPAM {losses[1]:.3g}")
    # 0.855, 0.0069 and 0.0080.
    assert max(losses) < 0.05 * adam


def test_a_leaf_without_a_gradient_is_skipped():
    params = {"still": jnp.ones(2), "moving": jnp.ones(2), "empty": jnp.ones((0, 2))}
    tx = of.stable_spam()
    grads = {**params, "empty": jnp.ones((0, 2))}
    _, state = tx.update(grads, tx.init(params), params)
    updates, after = tx.update({**grads, "still": jnp.zeros(2)}, state, params)
    np.testing.assert_array_equal(updates["still"], 0)
    assert np.all(updates["moving"] != 0)
    before, after = (
        of.find_in_state(x, of.ScaleByStableSpamState) for x in (state, after)
    )
    for old, new in zip(before[1:], after[1:], strict=True):
        np.testing.assert_array_equal(old["still"], new["still"])


def test_spikes_whose_squares_overflow():
    """They are clipped like any other."""
    tx = of.spam(0.1, grad_accu_steps=1, threshold=4.0)
    params = jnp.ones(2)
    _, state = tx.update(params, tx.init(params), params)
    updates, state = tx.update(jnp.array([1.0, 1e30]), state, params)
    assert np.all(np.isfinite(updates))
    assert np.all(np.isfinite(of.find_in_state(state, "exp_avg_sq")))


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (of.spam, {"threshold": -1.0}, "threshold must be at least 0, found -1.0"),
        (of.spam, {"grad_accu_steps": 0}, "grad_accu_steps must be at least 1"),
        (of.spam, {"update_proj_gap": 0}, "update_proj_gap must be at least 1"),
        (of.spam, {"warmup_epoch": -1}, "warmup_epoch must be at least 0"),
        (of.spam, {"eps": -1.0}, "eps must be at least 0"),
        (of.stable_spam, {"gamma1": 1.0}, "gamma1 must be .* below 1, found 1.0"),
        (of.stable_spam, {"gamma2": -0.1}, "gamma2 must be at least 0"),
        (of.stable_spam, {"theta": 1.0}, "theta must be .* below 1, found 1.0"),
        (of.stable_spam, {"update_proj_gap": 0}, "update_proj_gap must be at least 1"),
        (of.stable_spam, {"betas": (0.9, 1.0)}, r"betas\[1\] must be .* below 1"),
    ],
)
def test_bad_arguments(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)


def test_bad_trees():
    tx, params = of.stable_spam(), {"w": jnp.ones((3, 2))}
    with pytest.raises(TypeError, match="takes only real floating-point parameters"):
        tx.init({"z": jnp.ones(3, jnp.complex64)})
    with pytest.raises(ValueError, match="differ in shape at 'w'"):
        tx.update({"w": jnp.ones((2, 3))}, tx.init(params))
