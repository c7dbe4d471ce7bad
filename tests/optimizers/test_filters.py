"""Filtered and low-rank gradients: how far float32 ends from float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

STEPS, SHAPE = 5000, (6, 8)

BUILDS = {
    "adam": lambda: of.adam(1e-3),  # for comparison
    "cautious": lambda: of.cautious(of.adam(1e-3)),
    "grokfast_ema": lambda: of.chain(of.grokfast_ema(), of.adam(1e-3)),
    "grokfast_ma": lambda: of.chain(of.grokfast_ma(10), of.adam(1e-3)),
    "mars": lambda: of.mars(1e-3),
    "adam_mini": lambda: of.adam_mini(1e-3),
    "adafactor": lambda: of.adafactor(
        1e-3, relative_step=False, add_eps=True, eps=(1e-30, 1e-3), momentum=0.9
    ),
    "galore": lambda: of.galore(1e-3, rank=2, update_proj_gap=10_000, scale=1.0),
    "apollo": lambda: of.apollo(1e-3, rank=2, update_proj_gap=200),
    "pid": lambda: of.pid(1e-3, integral=1.0),
    "diffgrad": lambda: of.diffgrad(1e-3),
    "acprop": lambda: of.acprop(1e-3),
    "spam": lambda: of.spam(1e-3, threshold=20.0),
    "stable_spam": lambda: of.stable_spam(1e-3),
}


def final(tx, dtype):
    """Where ``tx`` ends on a noisy quadratic, from the same float32 numbers."""
    rng = np.random.default_rng(0)
    curvature = np.logspace(-2, 0, 48).reshape(SHAPE).astype("float32")
    start, minimum = rng.normal(size=(2, *SHAPE)).astype("float32")
    noise = rng.normal(size=(STEPS, *SHAPE)).astype("float32")

    @jax.jit
    def run(curvature, start, minimum, noise):
        def step(carry, noise):
            params, state = carry
            grads = curvature * (params - minimum) + noise
            updates, state = tx.update(grads, state, params)
            return (of.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (start, tx.init(start)), noise)[0][0]

    found = run(*(jnp.asarray(x, dtype) for x in (curvature, start, minimum, noise)))
    assert found.dtype == dtype
    return np.asarray(found, np.float64)


@pytest.mark.parametrize("name", BUILDS)
def test_float32_stays_near_float64(name):
    found = final(BUILDS[name](), "float32")
    with jax.enable_x64(True):
        expected = final(BUILDS[name](), "float64")
    distance = np.sqrt(np.mean((found - expected) ** 2))
    print(f"{name}: {distance:.2g}")
    # 5,000 roundings of parameters near 1 to 6e-8, which do not add up.
    assert distance < 1e-5
