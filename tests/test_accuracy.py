"""How far 20,000 steps in float32 end from the same steps in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

pytestmark = pytest.mark.slow

STEPS, SIZE = 20_000, 64


def final(tx, apply_updates, dtype, seed):
    """Where ``tx`` ends on a noisy quadratic whose curvatures span two decades."""
    rng = np.random.default_rng(seed)
    curvature = np.logspace(-2, 0, SIZE).astype(np.float32)
    start, minimum = rng.normal(size=(2, SIZE)).astype(np.float32)
    noise = rng.normal(size=(STEPS, SIZE)).astype(np.float32)

    # The same float32 numbers in both precisions: only the arithmetic differs.
    @jax.jit
    def run(curvature, start, minimum, noise):
        def step(carry, noise):
            params, state = carry
            grads = curvature * (params - minimum) + noise
            updates, state = tx.update(grads, state, params)
            return (apply_updates(params, updates), state), None

        (params, _), _ = jax.lax.scan(step, (start, tx.init(start)), noise)
        return params

    arrays = (jnp.asarray(x, dtype) for x in (curvature, start, minimum, noise))
    # optax counts on promotion in float64.
    with jax.numpy_dtype_promotion("standard"):
        found = run(*arrays)
    assert found.dtype == dtype
    return np.asarray(found, np.float64)


def distance(a, b):
    return np.sqrt(np.mean((a - b) ** 2))


@pytest.mark.parametrize("seed", range(3))
def test_adam_in_float32_ends_closer_to_float64_than_optax(seed):
    ours, theirs = (
        (of.adam(1e-3), of.apply_updates),
        (optax.adam(1e-3), optax.apply_updates),
    )
    with jax.enable_x64(True):
        exact = final(*ours, "float64", seed)
        exact_too = final(*theirs, "float64", seed)
    # 20,000 steps of 1e-3 with roundings of 1e-16 each.
    assert distance(exact, exact_too) < 1e-13

    error, their_error = (
        distance(final(*run, "float32", seed), exact) for run in (ours, theirs)
    )
    print(f"distance from float64: optifunc {error:.3g}, optax {their_error:.3g}")
    assert error < their_error
