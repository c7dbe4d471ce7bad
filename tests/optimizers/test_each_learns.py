"""Optimizers without a test of another kind of what they are for learn the digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .test_signs_in_use import IMAGES, LABELS, accuracy, loss, network

pytestmark = pytest.mark.slow

LEARNING = {
    "acprop": lambda: of.acprop(0.01, eps=1e-3),
    "adam_mini": lambda: of.adam_mini(0.01),
    "adamuon": lambda: of.adamuon(0.01, ns_dtype="float32"),
    "amos": lambda: of.amos(0.03, momentum=0.9),
    "came": lambda: of.came(1e-3),
    "cocob": of.cocob,
    "diffgrad": lambda: of.diffgrad(0.01),
    "dion": lambda: of.dion(0.03, rank_fraction=0.25),
    "dog": of.dog,
    "dowg": of.dowg,
    "gpa_adamw": lambda: of.gpa_adamw(0.01),
    "laprop": lambda: of.laprop(0.01),
    "mechanize": lambda: of.mechanize(of.adam(0.01)),
    "normuon": lambda: of.normuon(0.03, ns_dtype="float32"),
    "ranger": lambda: of.ranger(0.03),
    "schedule_free_radam": lambda: of.schedule_free_radam(0.03),
    "schedule_free_sgd": lambda: of.schedule_free_sgd(1.0),
    "scion": lambda: of.scion(0.03, ns_dtype="float32", unconstrained=True),
    "simplified_ademamix": lambda: of.simplified_ademamix(1e-4),
    "swats": lambda: of.swats(0.01),
}


@jax.jit
def trained(tx):
    """What is to be evaluated after 300 batches of 128 images."""
    rows = np.random.default_rng(1).integers(0, 1400, (300, 128))

    def step(carry, rows):
        params, state = carry
        grads = jax.grad(loss)(params, IMAGES[rows], LABELS[rows])
        updates, state = tx.update(grads, state, params)
        return (of.apply_updates(params, updates), state), None

    params = network()
    carry = params, tx.init(params)
    (params, state), _ = jax.lax.scan(step, carry, jnp.asarray(rows))
    return of.eval_params(tx, state, params)


@pytest.mark.parametrize("name", LEARNING)
def test_each_learns_the_digits(name):
    """Where AdamW reaches 0.91, and the network begins below 0.2."""
    found = accuracy(trained(LEARNING[name]()))
    print(name, found)
    assert found > 0.87
