"""Further optimizers and options on recorded runs of their authors' code."""

import jax
import jax.numpy as jnp
import pytest

import optifunc as of

from .authors import assert_follows

pytestmark = pytest.mark.slow

RECORDED = {
    "radam_optax": lambda: of.radam(0.1, eps_after_correction=True),
    "amos": lambda: of.amos(0.1, momentum=0.9, input_axis=1),
    "came_po": lambda: of.came(0.1),
    "kourkoutas": lambda: of.kourkoutas(0.1),
    "kourkoutas_exact": lambda: of.kourkoutas(0.1, bias_correction="exact"),
    "ranger_optimi": lambda: of.ranger(0.1, sync_period=3),
}


# Runs that also record the parameters to evaluate.
AVERAGED = {
    "splus": lambda: of.splus(inverse_steps=2),
    "splus_vector": lambda: of.splus(nonstandard_constant=0.5),
}


@pytest.mark.parametrize("name", AVERAGED)
def test_the_runs_and_their_averages(name, x64):
    tx = AVERAGED[name]()

    def evaluated(state, params):
        return of.eval_params(tx, state, params)

    assert_follows(name, tx, read=evaluated)


@pytest.mark.parametrize("name", RECORDED)
def test_the_runs_of_the_authors(name, x64):
    assert_follows(name, RECORDED[name]())


def test_the_noise_of_splus_goes_out_of_its_average():
    """Steps of one size hop about a minimum; the basis is wrong for 50 steps each."""
    left, right = (jnp.diag(jnp.logspace(-1, 1, n)) for n in (6, 4))
    target = jax.random.normal(jax.random.key(0), (6, 4))
    tx = of.splus(1.0, weight_decay=0.0, ema_rate=0.98, inverse_steps=50)

    def loss(params):
        return 0.5 * jnp.sum((left @ (params - target) @ right) ** 2)

    @jax.jit
    def run(params):
        def step(carry, _):
            params, state = carry
            updates, state = tx.update(jax.grad(loss)(params), state, params)
            return (of.apply_updates(params, updates), state), None

        carry, _ = jax.lax.scan(step, (params, tx.init(params)), None, 400)
        return carry

    params, state = run(jnp.zeros((6, 4)))
    evaluated = of.eval_params(tx, state, params)
    assert loss(params) < 0.1 * loss(jnp.zeros((6, 4)))
    assert loss(evaluated) < 0.1 * loss(params)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"lr": -1.0}, "lr must be at least 0, found -1.0"),
        ({"ema_rate": 1.0}, "ema_rate must be at least 0 and below 1"),
        ({"inverse_steps": 0}, "inverse_steps must be at least 1"),
        ({"nonstandard_constant": -1.0}, "nonstandard_constant must be at least 0"),
        ({"eps": -1.0}, "eps must be at least 0"),
    ],
)
def test_bad_arguments_of_splus(kwargs, message):
    with pytest.raises(ValueError, match=message):
        of.splus(**kwargs)
