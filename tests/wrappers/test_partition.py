"""Partitions: each leaf by the transformation of its label."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import optifunc as of
from optifunc.wrappers._selection import Selector

from .trees import (
    GRADS,
    PARAMS,
    assert_equal,
    expected,
    is_kernel,
    recorder,
    updates_of,
)


def test_partition_gives_each_leaf_the_transformation_of_its_label():
    def labels(path, leaf):
        return "head" if path == "head" else "kernel" if is_kernel(path, leaf) else "no"

    inner = recorder()
    tx = of.partition(
        {"head": of.scale(7.0), "kernel": inner, "no": of.set_to_zero()}, labels
    )
    state = tx.init(PARAMS)
    assert type(state) is dict
    assert state.keys() == {"head", "kernel", "no"}
    updates, new_state = tx.update(GRADS, state, PARAMS, value=1.0)
    wanted = expected(2.0, 0.0) | {"head": jnp.full((3,), 7.0)}
    assert_equal(updates, wanted)
    assert inner.seen[-1] == {"value": 1.0}
    assert inner.seen[1]["head"] is None
    assert jax.tree.structure(new_state) == jax.tree.structure(state)

    as_tree = {
        "encoder": [{"kernel": "kernel", "bias": "no"}] * 2,
        "head": "head",
    }
    same = of.partition(dict(tx.transformations), as_tree)
    assert isinstance(same.labels, Selector)
    assert_equal(updates_of(same), wanted)
    assert_equal(
        jax.jit(lambda tx: updates_of(tx))(of.partition({"all": of.scale(2.0)}, "all")),
        expected(2.0, 2.0),
    )


def test_partition_is_optaxs_over_several_steps():
    labels = {"encoder": "adam", "head": "sgd"}
    ours = of.partition({"adam": of.adam(0.1), "sgd": of.sgd(0.1, 0.9)}, labels)
    theirs = optax.partition(
        {"adam": optax.adam(0.1), "sgd": optax.sgd(0.1, 0.9)}, labels
    )
    mixed = of.partition({"adam": optax.adam(0.1), "sgd": optax.sgd(0.1, 0.9)}, labels)

    def train(tx):
        def step(carry, _):
            params, state = carry
            grads = jax.tree.map(lambda p: p * jnp.cos(p), params)
            updates, state = tx.update(grads, state, params)
            return (of.apply_updates(params, updates), state), None

        # optax promotes dtypes implicitly.
        with jax.numpy_dtype_promotion("standard"):
            return jax.lax.scan(step, (PARAMS, tx.init(PARAMS)), length=5)[0][0]

    wanted = train(theirs)
    for tx in (ours, mixed):
        # Adam's bias corrections differ in the last digits of float32.
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-6), train(tx), wanted
        )


def test_freezing_leaves_no_state_and_no_trace():
    tx = of.partition(
        {"train": of.adamw(0.1), "freeze": of.set_to_zero()},
        lambda path, leaf: "freeze" if path.startswith("encoder.0") else "train",
    )
    state = tx.init(PARAMS)
    # Two moments for each of the two trained leaves, and a step.
    assert len(jax.tree.leaves(state)) <= 2 * 2 + 2
    updates, _ = tx.update(GRADS, state, PARAMS)
    moved = of.apply_updates(PARAMS, updates)
    assert_equal(moved["encoder"][0], PARAMS["encoder"][0])
    assert np.all(moved["head"] != PARAMS["head"])
