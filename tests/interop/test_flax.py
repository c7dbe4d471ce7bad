"""Flax's training state: which changes of a learning rate compile again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.training import train_state

import optifunc as of
import optifunc.compat.optax as compat
from optifunc.interop.flax import TrainState

RATES = (0.1, 0.01, 0.001)
PARAMS = {"w": jnp.array([1.0, -2.0])}


def compilations(state, change):
    """How often a step compiles over some learning rates; and the parameters."""
    count = 0

    @jax.jit
    def step(state):
        nonlocal count
        count += 1
        return state.apply_gradients(grads=state.params)

    for rate in RATES:
        state = step(change(state, rate))
    return count, state.params


def of_flax(state, rate):
    return state.replace(tx=of.replace_hyperparameters(state.tx, lr=rate))


def of_ours(state, rate):
    return state.replace_hyperparameters(lr=jnp.asarray(rate))


def in_the_state(name):
    def change(state, rate):
        hyperparams = {**state.opt_state.hyperparams, name: jnp.asarray(rate)}
        return state.replace(
            opt_state=state.opt_state._replace(hyperparams=hyperparams)
        )

    return change


CASES = {
    "flax's, static": (train_state.TrainState, of.adamw(jnp.asarray(0.5)), of_flax, 3),
    "ours, a node": (TrainState, of.adamw(jnp.asarray(0.5)), of_ours, 1),
    "flax's, injected": (
        train_state.TrainState,
        compat.inject_hyperparams(of.adamw)(lr=0.5),
        in_the_state("lr"),
        1,
    ),
    "flax's, injected by optax's name": (
        train_state.TrainState,
        compat.inject_hyperparams(compat.adamw)(0.5, weight_decay=0.01),
        in_the_state("learning_rate"),
        1,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_new_learning_rate_compiles_only_where_it_is_static(name):
    kind, tx, change, expected = CASES[name]
    state = kind.create(apply_fn=None, params=PARAMS, tx=tx)
    count, params = compilations(state, change)
    assert count == expected
    # The rates act: the same steps by hand.
    wanted, state = PARAMS, of.adamw(0.1).init(PARAMS)
    for rate in RATES:
        updates, state = of.adamw(rate).update(wanted, state, wanted)
        wanted = of.apply_updates(wanted, updates)
    np.testing.assert_allclose(params["w"], wanted["w"], rtol=1e-6)


def test_the_values_of_a_function_are_read_from_an_nnx_optimizer():
    class Model(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.ones(3))

    def falling(step):
        return 0.1 if step < 1 else 0.01

    def rate(step):
        return jnp.where(step < 1, 0.1, 0.01)

    with jax.numpy_dtype_promotion("standard"):
        model = Model()
        for schedule in (falling, rate):
            tx = of.adam(rate)
            optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
            optimizer.update(model, nnx.grad(lambda m: jnp.sum(m.w**2))(model))
            tx = of.adam(schedule)
            state = optimizer.opt_state
            assert np.isclose(of.current_hyperparameters(tx, state)["lr"], 0.01)
            last = of.current_hyperparameters(tx, state, last=True)
            assert np.isclose(last["lr"], 0.1)
