"""AdEMAMix at what it is made for."""

import jax
import jax.numpy as jnp
import pytest

import optifunc as of

pytestmark = pytest.mark.slow


def rosenbrock(params):
    x, y = params
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


@jax.jit
def distance(tx):
    """From the minimum, after 3,000 steps."""

    def step(carry, _):
        params, state = carry
        updates, state = tx.update(jax.grad(rosenbrock)(params), state, params)
        return (of.apply_updates(params, updates), state), None

    start = jnp.array([-3.0, 5.0])
    (params, _), _ = jax.lax.scan(step, (start, tx.init(start)), None, 3000)
    return jnp.linalg.norm(params - 1)


def test_old_gradients_carry_along_a_valley():
    """The authors' example: a longer memory of Adam's own mean does not do the same."""
    assert distance(of.ademamix(0.03, (0.9, 0.999, 0.9999), alpha=9.0)) < 0.5
    for beta1 in (0.9, 0.99, 0.999):
        assert distance(of.adamw(0.03, (beta1, 0.999), weight_decay=0.0)) > 1
