"""What Python does to trace a step grows with the number of leaves, and no faster."""

import cProfile
import pstats

import jax
import jax.numpy as jnp
import pytest

import optifunc as of

FEW, MANY = 40, 320


def traced_calls(tx, leaves):
    """The calls of functions while a step is traced: a count, not a time."""
    params = {f"leaf{i:03}": jnp.ones((4, 4)) for i in range(leaves)}

    def step(params, state, grads):
        return of.apply_gradients(tx, grads, state, params)

    state = jax.eval_shape(tx.init, params)
    jax.clear_caches()
    profile = cProfile.Profile()
    with profile:
        jax.jit(step).trace(params, state, params)
    return pstats.Stats(profile).total_calls


@pytest.mark.parametrize(
    "tx",
    [
        pytest.param(of.adamw(0.1), id="adamw"),
        pytest.param(of.flatten(of.adamw(0.1)), id="flatten"),
        pytest.param(of.muon(0.1), id="muon"),
        pytest.param(of.soap(0.1), id="soap"),
        pytest.param(
            of.skip_not_finite(of.chain(of.clip_by_global_norm(1.0), of.adafactor())),
            id="clip, skip",
        ),
        pytest.param(
            of.chain(of.adam(0.1), of.ema_parameters(0.9)), id="average of parameters"
        ),
        pytest.param(of.quantized(of.lion(0.1)), id="quantized"),
    ],
)
def test_calls_grow_with_the_leaves(tx):
    traced_calls(tx, 2)  # what is imported or computed once
    # A search of the whole trace for each leaf would make it about (MANY / FEW)^2.
    assert traced_calls(tx, MANY) <= 1.25 * MANY / FEW * traced_calls(tx, FEW)
