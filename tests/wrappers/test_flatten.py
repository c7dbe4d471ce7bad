"""Joined leaves: the same updates as without, optax's flatten, and what is refused."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
PARAMS = {
    "kernel": jnp.asarray(RNG.normal(size=(4, 3)), jnp.float32),
    "layers": [
        {"bias": jnp.asarray(RNG.normal(size=3), jnp.float32), "none": None},
        {"bias": jnp.asarray(RNG.normal(size=5), jnp.bfloat16), "gain": jnp.ones(())},
    ],
    "empty": jnp.zeros((0, 2)),
    "phase": jnp.asarray(RNG.normal(size=2) + 1j, jnp.complex64),
}


def gradients(step):
    rng = np.random.default_rng(step)
    return jax.tree.map(
        lambda p: jnp.asarray(rng.normal(size=p.shape), p.dtype), PARAMS
    )


def run(tx, params=PARAMS, steps=5):
    state = tx.init(params)

    @jax.jit
    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return of.apply_updates(params, updates), state

    for i in range(steps):
        params, state = step(params, state, gradients(i))
    return params, state


@pytest.mark.parametrize("max_size", [None, 0, 3, 5])
@pytest.mark.parametrize(
    "inner",
    [
        lambda: of.adamw(0.1),
        lambda: of.sgd(0.1, 0.9, nesterov=True),
        lambda: of.chain(of.clip_by_global_norm(0.5), of.rmsprop(momentum=0.9)),
    ],
)
def test_the_same_updates_as_without(inner, max_size):
    found, _ = run(of.flatten(inner(), max_size))
    expected, _ = run(inner())
    chex.assert_trees_all_equal_shapes_and_dtypes(found, expected)
    # A few roundings of each dtype; sums of squares are added in another order.
    for one, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(one, other, 0, 16 * float(jnp.finfo(one.dtype).eps))


def test_the_state_is_one_vector_a_dtype_and_the_large_leaves():
    def shapes(max_size):
        # One array: a buffer of momentum. The counter belongs to no parameter.
        state = of.flatten(of.momentum(0.9), max_size).init(PARAMS)
        return sorted(x.shape for x in jax.tree.leaves(state) if x.ndim)

    assert shapes(None) == [(2,), (5,), (12 + 3 + 1,)]
    assert shapes(4) == [(2,), (3 + 1,), (4, 3), (5,)]
    assert shapes(0) == [(0,), (2,), (3,), (4, 3), (5,)]


def test_it_is_optaxs():
    params = {"kernel": PARAMS["kernel"], "bias": PARAMS["layers"][0]["bias"]}
    grads = jax.tree.map(lambda p: 0.3 * p, params)
    ours, theirs = of.flatten(optax.adamw(0.1)), optax.flatten(optax.adamw(0.1))
    with jax.numpy_dtype_promotion("standard"):  # which optax counts on
        state, their_state = ours.init(params), theirs.init(params)
        for _ in range(3):
            found, state = ours.update(grads, state, params)
            expected, their_state = theirs.update(grads, their_state, params)
            chex.assert_trees_all_equal(found, expected)


def test_gradients_of_other_dtypes_keep_theirs():
    params = {"a": jnp.ones(2), "b": jnp.ones(3)}
    grads = {"a": jnp.full(2, 0.5, jnp.bfloat16), "b": jnp.full(3, 0.1)}
    tx = of.flatten(of.sgd(0.1, 0.9))
    updates, _ = tx.update(grads, tx.init(params), params)
    chex.assert_trees_all_equal_shapes_and_dtypes(updates, grads)
    np.testing.assert_allclose(updates["b"], -0.01, 1e-6)  # one rounding or two


def test_a_loss_function_sees_the_parameters_as_they_are():
    params = {"a": jnp.array([3.0, -2.0]), "b": jnp.ones((2, 2))}

    def loss(params):
        assert params["b"].shape == (2, 2)
        return jnp.sum(params["a"] ** 2) + jnp.sum((params["b"] - 2) ** 2)

    for line_search in (None, "strong_wolfe"):
        inner = of.lbfgs(line_search_fn=line_search)
        found = []
        for tx in (inner, of.flatten(inner)):
            updates, _ = tx.update(
                jax.grad(loss)(params), tx.init(params), params, value_fn=loss
            )
            found.append(of.apply_updates(params, updates))
        # The same sums, of one vector.
        chex.assert_trees_all_close(*found, atol=1e-6)


@pytest.mark.parametrize(
    "params",
    [{"a": jnp.array([3.0, -2.0]), "b": jnp.ones((2, 2))}, jnp.ones(3), jnp.array(2.0)],
)
def test_optaxs_line_search_has_its_arguments(params):
    def loss(params):
        return sum(jnp.sum((x - 3) ** 2) for x in jax.tree.leaves(params))

    inner = optax.lbfgs()
    found = []
    with jax.numpy_dtype_promotion("standard"):  # which optax counts on
        for tx in (inner, of.flatten(inner)):

            @jax.jit
            def step(ours, state, tx=tx):
                value, grad = jax.value_and_grad(loss)(ours)
                updates, state = tx.update(
                    grad, state, ours, value=value, grad=grad, value_fn=loss
                )
                return of.apply_updates(ours, updates), state

            ours, state = params, tx.init(params)
            for _ in range(3):
                ours, state = step(ours, state)
            found.append(ours)
    # The same sums, of one vector.
    chex.assert_trees_all_close(*found, atol=1e-6)


def test_what_is_refused():
    for wrong, error in ((1.5, TypeError), (True, TypeError), (-1, ValueError)):
        with pytest.raises(error, match="max_size"):
            of.flatten(of.adam(), wrong)
    tx = of.flatten(of.sgd(0.1))
    params = {"rows": jnp.ones((3, 2)), "b": jnp.ones(2)}
    state = tx.init(params)
    sparse = {**params, "rows": BCOO.fromdense(jnp.ones((3, 2)))}
    with pytest.raises(TypeError, match="sparse one at 'rows'"):
        tx.update(sparse, state, params)
    with pytest.raises(ValueError, match="no leaf at 'b'"):
        tx.update({"rows": params["rows"]}, state, params)
    with pytest.raises(ValueError, match=r"at 'b': \(3,\) and \(2,\)"):
        tx.update({**params, "b": jnp.ones(3)}, state, params)
