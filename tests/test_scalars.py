"""Scalars of the step in float32 against the float64 formulas, for 100,000 steps.

torch computes these on the host in float64. Here they are computed inside jit in
float32, and held to 1e-6 relative: about ten roundings, where the textbook formulas
lose between 1e-5 (bias correction) and 1e-2 (RAdam's rectification).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of
from optifunc._numerics import one_minus_power
from optifunc.optimizers._adafactor import adafactor_weight
from optifunc.optimizers._asgd import asgd_step_size
from optifunc.optimizers._nadam import nadam_momentum, nadam_shares
from optifunc.optimizers._radam import approximated_sma_length, rectification

TOLERANCE = 1e-6
T = np.arange(1, 100_001, dtype=np.float64)
STEPS = jnp.arange(1, 100_001, dtype=jnp.int32)
BETAS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999)


def close(found, expected):
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(np.asarray(found, np.float64), expected, TOLERANCE)


@pytest.fixture(params=["number", "argument of jit"])
def evaluate(request):
    """``evaluate(f, *numbers)``: ``f(steps, *numbers)`` and the numbers it stood for.

    A Python number is known in float64 when the function is traced; as an argument of
    a jitted function it is float32, and the formula is to hold at the rounded number.
    """

    def evaluate(function, *numbers):
        if request.param == "number":
            return jax.jit(lambda steps: function(steps, *numbers))(STEPS), numbers
        rounded = tuple(float(np.float32(number)) for number in numbers)
        return jax.jit(function)(STEPS, *map(jnp.float32, rounded)), rounded

    return evaluate


@pytest.mark.parametrize("beta", BETAS)
def test_bias_correction(evaluate, beta):
    found, (beta,) = evaluate(lambda steps, beta: one_minus_power(beta, steps), beta)
    close(found, 1 - beta**T)


@pytest.mark.parametrize("beta", BETAS)
def test_rectification_of_radam(evaluate, beta):
    (rho, rho_inf, factor), (beta,) = evaluate(
        lambda steps, beta: (
            *approximated_sma_length(beta, steps),
            rectification(beta, steps),
        ),
        beta,
    )
    limit = 2 / (1 - beta) - 1
    length = limit - 2 * T * beta**T / (1 - beta**T)
    close(rho, length)
    close(rho_inf, limit)

    tractable = length > 5
    np.testing.assert_array_equal(factor > 0, tractable)
    r = length[tractable]
    square = (r - 4) * (r - 2) * limit / ((limit - 4) * (limit - 2) * r)
    close(factor[tractable], np.sqrt(square * (1 - beta ** T[tractable])))


@pytest.mark.parametrize("momentum_decay", [4e-3, 0.05])
@pytest.mark.parametrize("beta", BETAS)
def test_products_of_nadam(evaluate, beta, momentum_decay):
    def shares(steps, beta, momentum_decay):
        def step(mu_product, t):
            *shares, mu_product = nadam_shares(t, mu_product, beta, momentum_decay)
            return mu_product, shares

        return (
            nadam_momentum(steps, beta, momentum_decay),
            jax.lax.scan(step, jnp.ones((), jnp.float32), steps)[1],
        )

    (momentum, shares), (beta, momentum_decay) = evaluate(shares, beta, momentum_decay)
    mu, mu_next = (beta * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in (T, T + 1))
    product = np.cumprod(mu)
    for found, expected in zip(momentum, (mu, 1 - mu), strict=True):
        close(found, expected)
    expected = (1 - mu) / (1 - product), mu_next / (1 - product * mu_next)
    for found, share in zip(shares, expected, strict=True):
        close(found, share)


@pytest.mark.parametrize("beta2_decay", [-0.8, -0.5, -1.0, 0.0])
def test_decay_of_adafactor(evaluate, beta2_decay):
    found, (beta2_decay,) = evaluate(adafactor_weight, beta2_decay)
    close(found, T**beta2_decay)


@pytest.mark.parametrize(
    ("lr", "lambd", "alpha"),
    [(1e-2, 1e-4, 0.75), (1.0, 0.1, 0.75), (0.02, 1.0, 0.5), (10.0, 10.0, 2.0)],
)
def test_step_size_of_asgd(evaluate, lr, lambd, alpha):
    found, (lr, lambd, alpha) = evaluate(asgd_step_size, lr, lambd, alpha)
    close(found, lr / (1 + lambd * lr * T) ** alpha)


@pytest.mark.parametrize("lr_decay", [0.0, 1e-5, 1e-2, 1.0])
def test_decay_of_adagrad(evaluate, lr_decay):
    # A gradient of 1 that starts the sum is scaled by the decay alone.
    def decay(steps, lr_decay):
        tx = of.scale_by_adagrad(lr_decay, eps=0.0)
        start = tx.init(jnp.zeros(()))
        return jax.vmap(
            lambda t: tx.update(jnp.ones(()), start._replace(step=t - 1))[0]
        )(steps)

    found, (lr_decay,) = evaluate(decay, lr_decay)
    close(found, 1 / (1 + (T - 1) * lr_decay))


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.5, 0.9, 0.999])
def test_derivatives_with_respect_to_beta(beta, x64):
    t = jnp.asarray([1, 2, 6, 100_000])
    slope = jax.jit(jax.vmap(jax.grad(one_minus_power), (None, 0)))(beta, t)
    expected = [-k * beta ** (k - 1) for k in t.tolist()]
    # Absolute: of 1 - beta^t, whatever is left of the power.
    np.testing.assert_allclose(slope, expected, 1e-9, 1e-15)
    slope = jax.jit(jax.vmap(jax.grad(rectification), (None, 0)))(beta, t)
    assert np.all(np.isfinite(slope))
