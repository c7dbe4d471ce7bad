"""Skipped updates: a bound on the norm, and outliers against a NumPy restatement."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

pytestmark = pytest.mark.slow

PARAMS = {"w": jnp.zeros(2), "b": jnp.zeros(())}


def grads(size):
    return {"w": jnp.array([0.6, 0.0]) * size, "b": jnp.float32(0.8) * size}


@pytest.mark.parametrize("size", [0.5, 2.0, 3.0, np.inf, np.nan])
def test_optax_skips_the_same(size):
    skip, info = optax.skip_large_updates(grads(size), 0, PARAMS, 2.0**2)
    tx = of.skip_large_updates(of.sgd(0.1, 0.9), 2.0)
    state = tx.init(PARAMS)
    updates, new = jax.jit(tx.update)(grads(size), state, PARAMS)
    assert int(new.skipped) == int(skip)
    if np.isfinite(size):
        np.testing.assert_allclose(new.norm**2, info["norm_squared"], rtol=1e-6)
    if skip:
        assert not any(np.any(x) for x in jax.tree.leaves(updates))
        jax.tree.map(np.testing.assert_array_equal, new.inner, state.inner)
    else:
        np.testing.assert_allclose(updates["w"], -0.1 * grads(size)["w"], rtol=1e-6)


def expected_skips(values, window, sigma):
    """The rule on Python lists, in float64."""
    stored, skips = [], []
    for x in values:
        past = np.array(stored[-window:])
        skip = not np.isfinite(x)
        if len(past) >= max(2, window // 2):
            skip |= bool(x > past.mean() + sigma * max(past.std(), 1e-6))
        skips.append(skip)
        if np.isfinite(x):
            stored.append(x)
    return skips


@pytest.mark.parametrize("by", ["norm", "loss"])
def test_outliers(by):
    rng = np.random.default_rng(0)
    values = 1 + 0.1 * rng.random(24)
    values[[5, 9, 17]] = 3.0
    values[2] = 1.5  # far, but two values before it are too few
    values[[7, 8, 20]] = [np.nan, np.inf, np.nan]
    values[12:14] = 2.0  # a new level is stored, and so accepted some day
    tx = of.skip_outliers(of.sgd(0.1, 0.9), window=6, sigma=2.5)

    def step(state, x):
        size, loss = (x, 1.0) if by == "norm" else (1.0, x)
        updates, new = tx.update(
            grads(jnp.float32(size)), state, PARAMS, value=jnp.float32(loss)
        )
        return new, (new.skipped - state.skipped, updates["b"])

    state, (skips, updates) = jax.jit(lambda s: jax.lax.scan(step, s, values))(
        tx.init(PARAMS)
    )
    expected = expected_skips(values, 6, 2.5)
    assert 6 < sum(expected) + 2 < 24
    np.testing.assert_array_equal(skips, expected)
    np.testing.assert_array_equal(np.asarray(updates) == 0, expected)
    assert int(state.skipped) == sum(expected)
    assert np.all(np.isfinite([state.norms, state.losses]))


def test_without_a_loss_norms_alone_count():
    tx = of.skip_outliers(of.sgd(0.1), window=2)
    state = tx.init(PARAMS)
    for size in (1.0, 1.0, 5.0):
        _, state = tx.update(grads(size), state, PARAMS)
    assert int(state.skipped) == 1
    assert int(state.loss_count) == 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.skip_large_updates(of.sgd(), -1.0), "max_norm must be at least 0"),
        (lambda: of.skip_outliers(of.sgd(), 1), "window must be at least 2, found 1"),
        (lambda: of.skip_outliers(of.sgd(), sigma=0.0), "sigma must be above 0"),
        (
            lambda: (tx := of.skip_outliers(of.sgd())).update(
                PARAMS, tx.init(PARAMS), PARAMS, value=jnp.ones(2)
            ),
            "value must be a scalar",
        ),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()
