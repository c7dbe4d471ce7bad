"""Relatives of Adam in float32 beside float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

pytestmark = pytest.mark.slow

LONG = {
    "adam": of.adam,
    "adam_nesterov": lambda lr: of.adam(lr, nesterov=True),
    "ademamix": lambda lr: of.ademamix(lr, alpha_warmup=5000, beta3_warmup=5000),
    "simplified_ademamix": lambda lr: of.simplified_ademamix(0.01 * lr),
    "adopt": of.adopt,
    "optimistic_gradient_descent": of.optimistic_gradient_descent,
    "optimistic_adam": of.optimistic_adam,
    "polyak_sgd": lambda lr: of.polyak_sgd(lr, f_min=-1000.0),
    "momo": lambda lr: of.momo(lr, lower_bound=-1000.0),
    "momo_adam": lambda lr: of.momo_adam(lr, lower_bound=-1000.0),
    "laprop": lambda lr: of.laprop(lr, centered=True),
    "stableadamw": of.stableadamw,
    "adam_atan2": of.adam_atan2,
    "adam_atan2_cautious": lambda lr: of.adam_atan2(
        lr, weight_decay=0.1, cautious_wd=True, cautious_factor=0.0
    ),
    # The whole power would enlarge noise by 100 along the flattest axis.
    "adahessian": lambda lr: of.adahessian(lr, hessian_power=0.5, weight_decay=0.1),
    "adamax": of.adamax,
    "amos": lambda lr: of.amos(lr, momentum=0.9),
    "kourkoutas": lambda lr: of.kourkoutas(lr, decay=0.99, bias_correction="exact"),
    "nadam": of.nadam,
    "radam": of.radam,
    "ranger": of.ranger,
    "swats": of.swats,
    "rmsprop": lambda lr: of.rmsprop(lr, bias_correction=True),
    "sophia": of.sophia,
    "sophia_g": of.sophia_g,
}


def end_of_long_run(tx, dtype):
    """Where 5,000 steps on a noisy quadratic end."""
    rng = np.random.default_rng(0)
    curvature = np.logspace(-2, 0, 16).astype(np.float32)
    noise = rng.normal(size=(5000, 16)).astype(np.float32)
    start = rng.normal(size=16).astype(np.float32)

    @jax.jit
    def run(curvature, noise, start):
        def step(carry, noise):
            params, state = carry

            def value_fn(params):
                return jnp.sum(0.5 * curvature * params**2 + noise * params)

            value, grads = jax.value_and_grad(value_fn)(params)
            extra = {"value": value, "value_fn": value_fn, "sampled_grad": noise}
            updates, state = tx.update(grads, state, params, **extra)
            return (of.apply_updates(params, updates), state), None

        (params, _), _ = jax.lax.scan(step, (start, tx.init(start)), noise)
        return params

    found = run(*(jnp.asarray(x, dtype) for x in (curvature, noise, start)))
    assert found.dtype == dtype
    return np.asarray(found, np.float64)


@pytest.mark.parametrize("name", LONG)
def test_float32_beside_float64_over_5000_steps(name):
    tx = LONG[name](1e-3)
    with jax.enable_x64(True):
        exact = end_of_long_run(tx, "float64")
    error = np.max(np.abs(end_of_long_run(tx, "float32") - exact))
    print(f"{name}: {error:.2g}")
    # Adam's is 3e-6.
    assert error < 2e-5
