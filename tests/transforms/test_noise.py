"""Gradient noise: its distribution, and what it depends on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of

pytestmark = pytest.mark.slow

ZEROS = {"a": jnp.zeros((200, 100)), "b": jnp.zeros(20_000, jnp.complex64), "n": None}


def noise(tx, updates, steps=1):
    state, update = tx.init(updates), jax.jit(tx.update)
    for _ in range(steps):
        found, state = update(updates, state)
    return found


@pytest.mark.parametrize(("eta", "gamma", "step"), [(0.3, 0.55, 0), (0.01, 1.0, 9)])
def test_it_is_gaussian_with_the_variance_of_the_step(eta, gamma, step):
    found = noise(of.add_noise(eta, gamma), ZEROS, step + 1)
    deviation = np.sqrt(eta / (1 + step) ** gamma)
    parts = [found["a"].ravel(), found["b"].real, found["b"].imag]
    for part in parts:
        scaled = np.float64(part) / deviation
        # 20,000 samples: five standard errors of mean, variance and fourth moment.
        assert abs(scaled.mean()) < 5 / np.sqrt(20_000)
        assert abs((scaled**2).mean() - 1) < 5 * np.sqrt(2 / 20_000)
        assert abs((scaled**4).mean() - 3) < 5 * np.sqrt(96 / 20_000)
    assert np.max(np.abs(np.corrcoef(parts) - np.eye(3))) < 5 / np.sqrt(20_000)


def test_the_same_seed_gives_the_same_noise_whatever_the_dtype(x64):
    grads = {"a": jnp.ones(50), "b": jnp.ones((5, 5))}

    def of_dtype(dtype, seed=3):
        tree = jax.tree.map(lambda x: x.astype(dtype), grads)
        found = noise(of.add_noise(1.0, seed=seed), tree)
        assert all(x.dtype == dtype for x in jax.tree.leaves(found))
        return np.concatenate([np.float64(x).ravel() for x in jax.tree.leaves(found)])

    wanted = of_dtype(jnp.float64)
    # One rounding of values below 8 to each dtype.
    for dtype, ulp in (
        (jnp.float32, 2**-21),
        (jnp.float16, 2**-8),
        (jnp.bfloat16, 2**-5),
    ):
        np.testing.assert_allclose(of_dtype(dtype), wanted, atol=ulp)
    np.testing.assert_array_equal(of_dtype(jnp.float64), wanted)
    assert np.all(of_dtype(jnp.float64, seed=4) != wanted)
    assert np.all(np.diff(wanted) != 0)


def test_a_step_has_noise_of_its_own_and_seeds_can_be_swept():
    first, third = (noise(of.add_noise(1.0, 0.0), ZEROS["a"], n) for n in (1, 3))
    assert abs(np.corrcoef(first.ravel(), third.ravel())[0, 1]) < 5 / np.sqrt(20_000)
    found = jax.vmap(lambda seed: noise(of.add_noise(1.0, seed=seed), jnp.zeros(3)))(
        jnp.arange(2)
    )
    for seed in range(2):
        wanted = noise(of.add_noise(1.0, seed=seed), jnp.zeros(3))
        # The same draws; compiled apart, their scaling may round otherwise.
        np.testing.assert_allclose(found[seed], wanted, rtol=1e-6)


def test_no_variance_is_no_noise_and_has_a_derivative():
    grads = jnp.arange(3.0)
    np.testing.assert_array_equal(noise(of.add_noise(0.0), grads), grads)
    slope = jax.grad(
        lambda eta: jnp.sum(
            of.add_noise(eta).update(grads, of.add_noise(0.0).init(grads))[0]
        )
    )
    assert float(slope(0.0)) == 0.0
    assert np.isfinite(slope(1.0))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.add_noise(-1.0), "eta must be at least 0"),
        (lambda: of.add_noise(1.0, gamma=-1.0), "gamma must be at least 0"),
        (lambda: of.add_noise(1.0, seed=0.5), "seed must be an integer, found 0.5"),
        (
            lambda: noise(of.add_noise(1.0), BCOO.fromdense(jnp.ones((2, 2)))),
            "a sparse gradient",
        ),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()
