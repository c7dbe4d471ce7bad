"""AdaHessian beside the authors' rule: recorded, and in float64 NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

from .authors import PROBLEMS, assert_follows

pytestmark = pytest.mark.slow

CURVATURES = np.array([0.5, 2.0, -1.0, 3.0])


def separable(params):
    """Its Hessian is diagonal, so that the signs do not matter."""
    return jnp.sum(jnp.asarray(CURVATURES) * params**2 / 2 + params**4)


def test_the_recorded_run(x64):
    # The Hessian of this loss is the diagonal of that of the run.
    diagonal = jnp.diag(jnp.asarray(PROBLEMS["V"]["H"]))
    tx = of.adahessian(0.1, eps=1e-16)

    def update(updates, state, params, **extra):
        given = {"value_fn": lambda params: 0.5 * jnp.sum(diagonal * params**2)}
        return tx.update(updates, state, params, **(extra | given))

    pair = optax.GradientTransformationExtraArgs(tx.init, update)
    assert_follows("adahessian", of.as_transformation(pair))


@pytest.mark.parametrize(
    ("interval", "samples", "power", "decay"),
    [(1, 1, 1.0, 0.0), (1, 3, 0.5, 0.1), (3, 1, np.array(1.0), 0.1)],
)
def test_the_rule_in_numpy(interval, samples, power, decay, x64):
    lr, beta1, beta2, eps = 0.05, 0.8, 0.9, 1e-3
    tx = of.adahessian(
        lr,
        (beta1, beta2),
        eps,
        decay,
        hessian_power=power,
        update_interval=interval,
        num_samples=samples,
    )
    p = np.array([1.0, -0.5, 0.3, 2.0])
    params, state = jnp.asarray(p), tx.init(jnp.asarray(p))
    m, v, n = 0.0, 0.0, 0
    step = jax.jit(
        lambda params, state: tx.update(
            jax.grad(separable)(params), state, params, value_fn=separable
        )
    )
    for t in range(1, 8):
        updates, state = step(params, state)
        params = params + updates
        if (t - 1) % interval == 0:
            v, n = beta2 * v + (1 - beta2) * (CURVATURES + 12 * p**2) ** 2, n + 1
        m = beta1 * m + (1 - beta1) * (CURVATURES * p + 4 * p**3)
        size = np.sqrt(v / (1 - beta2**n)) ** float(power)
        p = p - lr * (m / (1 - beta1**t) / (size + eps) + decay * p)
        np.testing.assert_allclose(params, p, rtol=1e-10)


def test_more_samples_estimate_better(x64):
    h = np.array([[2.0, 0.5, -0.3], [0.5, 1.0, 0.2], [-0.3, 0.2, 1.5]])
    params = jnp.ones(3)

    def value_fn(params):
        return 0.5 * params @ jnp.asarray(h) @ params

    def estimate(seed, samples):
        tx = of.scale_by_adahessian((0.9, 0.0), num_samples=samples, seed=seed)
        _, state = tx.update(params, tx.init(params), params, value_fn=value_fn)
        return jnp.sqrt(state.exp_hessian_diag_sq[0])

    def spread(samples):
        found = jax.vmap(lambda seed: estimate(seed, samples))(jnp.arange(500))
        # The estimates are 2 +- 0.5 +- 0.3, independent.
        assert np.mean(found) == pytest.approx(2, abs=4 * np.sqrt(0.34 / 500))
        return np.std(found)

    assert spread(1) == pytest.approx(np.sqrt(0.34), rel=0.1)
    assert spread(4) == pytest.approx(np.sqrt(0.34 / 4), rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"hessian_power": 0.0}, ValueError, "hessian_power must be above 0"),
        ({"hessian_power": 2.0}, ValueError, "at most 1, found 2.0"),
        ({"num_samples": 0}, ValueError, "num_samples must be at least 1"),
        ({"update_interval": 1.5}, TypeError, "update_interval must be an integer"),
        ({"eps": 0.0}, ValueError, "eps must be above 0"),
        ({"betas": (0.9, 1.0)}, ValueError, r"betas\[1\] must be"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
    ],
)
def test_arguments_out_of_range(arguments, error, message):
    with pytest.raises(error, match=message):
        of.adahessian(**arguments)


def test_what_an_update_needs():
    tx, params = of.adahessian(), jnp.ones(3)
    with pytest.raises(TypeError, match="value_fn"):
        tx.update(params, tx.init(params), params)
    with pytest.raises(ValueError, match="adahessian needs the parameters"):
        tx.update(params, tx.init(params), value_fn=separable)
