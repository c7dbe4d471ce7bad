"""Learning rates by layer: the same as a partition with those rates."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

pytestmark = pytest.mark.slow

PARAMS = {
    "embedding": jnp.array([1.0, -2.0]),
    "block": [{"kernel": jnp.ones((2, 2))}, {"kernel": jnp.full((2, 2), 0.5)}],
    "head": jnp.array([0.3]),
}


def depth_of(path, leaf):
    names = path.split(".")
    if names[0] == "block":
        return 1 + int(names[1])
    return 0 if names[0] == "embedding" else 3


def run(tx, steps=3):
    params, state = PARAMS, tx.init(PARAMS)
    update = jax.jit(tx.update)
    for _ in range(steps):
        grads = jax.tree.map(lambda p: p - 0.1, params)
        updates, state = update(grads, state, params)
        params = of.apply_updates(params, updates)
    return params


@pytest.mark.parametrize("form", ["function", "tree"])
def test_it_is_a_partition_with_rates_that_fall(form):
    tree = {"embedding": 0, "block": [1, 2], "head": 3}
    tx = of.layerwise_decay(
        of.adamw(0.1, weight_decay=0.2),
        jax.eval_shape(lambda: PARAMS),
        0.5,
        depth_of if form == "function" else tree,
    )
    rates = {i: of.adamw(0.1 * 0.5 ** (3 - i), weight_decay=0.2) for i in range(4)}
    expected = run(of.partition(rates, depth_of))
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-6), run(tx), expected
    )


def test_the_decay_is_a_hyperparameter():
    tx = of.layerwise_decay(of.sgd(0.1), PARAMS, 0.5, depth_of)
    assert "decay" in of.current_hyperparameters(tx, tx.init(PARAMS))
    changed = of.replace_hyperparameters(tx, decay=1.0)
    jax.tree.map(np.testing.assert_array_equal, run(changed), run(of.sgd(0.1)))
    scheduled = of.layerwise_decay(
        of.sgd(0.1), PARAMS, lambda step: jnp.float32(0.5), depth_of
    )
    jax.tree.map(np.testing.assert_array_equal, run(scheduled), run(tx))


def test_inside_a_partition_the_deepest_layer_stays_that_of_the_model():
    tx = of.partition(
        {
            "body": of.layerwise_decay(optax.sgd(1.0), PARAMS, 0.5, depth_of),
            "head": of.set_to_zero(),
        },
        lambda path, leaf: "head" if path == "head" else "body",
    )
    grads = jax.tree.map(jnp.ones_like, PARAMS)
    updates, _ = tx.update(grads, tx.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(updates["embedding"], [-0.125, -0.125])
    np.testing.assert_array_equal(updates["block"][1]["kernel"], -0.5 * np.ones((2, 2)))
    np.testing.assert_array_equal(updates["head"], [0.0])


@pytest.mark.parametrize(
    ("decay", "depth", "message"),
    [
        (0.0, depth_of, "decay must be above 0, found 0.0"),
        (0.5, lambda path, leaf: -1, "the depth of 'block.0.kernel' must be at least"),
        (0.5, lambda path, leaf: "a", "must be an integer, found 'a'"),
        (0.5, {"head": 1}, "depth_of must have the structure"),
    ],
)
def test_bad_input(decay, depth, message):
    with pytest.raises((ValueError, TypeError), match=message):
        of.layerwise_decay(of.sgd(), PARAMS, decay, depth)
