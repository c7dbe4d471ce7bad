"""Measurements in the state, against NumPy and a running average in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

pytestmark = pytest.mark.slow

PARAMS = {"w": jnp.array([[1.0, -2.0], [2.0, 4.0]]), "b": jnp.array([0.0, 3.0])}


def grads(i):
    return jax.tree.map(lambda p: (i + 1) * jnp.cos(p), PARAMS)


def norm(tree):
    return np.sqrt(sum(np.sum(np.float64(x) ** 2) for x in jax.tree.leaves(tree)))


def test_the_default_measures_are_read_by_name_in_a_scan():
    tx = of.chain(monitor=of.monitor(of.sgd(0.1)), noise=of.identity())

    def step(carry, i):
        params, state = carry
        updates, state = tx.update(grads(i), state, params)
        return (of.apply_updates(params, updates), state), params

    begin = (PARAMS, tx.init(PARAMS))
    count = jnp.arange(3, dtype=jnp.float32)
    (_, state), path = jax.jit(lambda c: jax.lax.scan(step, c, count))(begin)
    last = jax.tree.map(lambda x: x[-1], path)
    expected = {
        "grad_norm": norm(grads(2)),
        "update_norm": 0.1 * norm(grads(2)),
        "param_norm": norm(last),
        "update_to_param": 0.1 * norm(grads(2)) / norm(last),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(of.find_in_state(state, name), value, rtol=1e-5)
    assert of.find_in_state(state, of.MonitorState).measured.keys() == expected.keys()
    assert of.find_in_state(begin[1], "grad_norm") == 0


def test_the_fraction_clipped_is_a_debiased_average():
    bound = 1.5 * float(norm(grads(0)))
    tx = of.monitor(of.clip_by_global_norm(bound), ["clipped", "grad_max"], decay=0.5)
    state, average, largest, weight = tx.init(PARAMS), 0.0, 0.0, 0.0
    for i in (0, 1, 0, 3):
        _, state = tx.update(grads(i), state, PARAMS)
        average = 0.5 * average + 0.5 * float(i > 0)
        size = max(np.max(np.abs(x)) for x in jax.tree.leaves(grads(i)))
        largest = 0.5 * largest + 0.5 * size
        weight = 0.5 * weight + 0.5
    np.testing.assert_allclose(state.measured["clipped"], average / weight, rtol=1e-6)
    np.testing.assert_allclose(state.measured["grad_max"], largest / weight, rtol=1e-6)


def test_optax_averages_measurements_alike():
    def mean(updates):
        return jnp.mean(updates["w"])

    theirs = optax.monitor({"mean": optax.measure_with_ema(mean, 0.8)})
    ours = of.monitor(of.identity(), {"mean": mean}, decay=0.8)
    states = [theirs.init(PARAMS), ours.init(PARAMS)]
    for i in range(4):
        with jax.numpy_dtype_promotion("standard"):  # optax relies on it
            _, states[0] = theirs.update(grads(i), states[0], PARAMS)
        _, states[1] = ours.update(grads(i), states[1], PARAMS)
    expected = jax.tree.leaves(states[0].measurements["mean"])
    found = float(states[1].measured["mean"])
    assert any(np.allclose(found, float(x), rtol=1e-5) for x in expected)


def test_measures_of_ones_own_may_be_trees():
    def by_layer(updates, params):
        return jax.tree.map(
            lambda u, p: jnp.linalg.norm(u) / jnp.linalg.norm(p), updates, params
        )

    tx = of.monitor(of.scale(-0.1), {"layers": by_layer, "size": "grad_norm"})
    _, state = jax.jit(tx.update)(grads(0), tx.init(PARAMS), PARAMS)
    for name in PARAMS:
        expected = 0.1 * norm(grads(0)[name]) / norm(PARAMS[name])
        np.testing.assert_allclose(state.measured["layers"][name], expected, rtol=1e-5)
    np.testing.assert_allclose(state.measured["size"], norm(grads(0)), rtol=1e-5)


def test_what_is_not_finite_does_not_stay_without_a_decay():
    tx = of.monitor(of.scale(1.0), ("grad_norm",))
    state = tx.init(PARAMS)
    for size in (jnp.nan, 1.0):
        _, state = tx.update(jax.tree.map(lambda p, s=size: p * s, PARAMS), state)
    np.testing.assert_allclose(state.measured["grad_norm"], norm(PARAMS), rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.monitor(of.sgd(), ("gard_norm",)), "unknown measure 'gard_norm'"),
        (lambda: of.monitor(of.sgd(), "grad_norm"), "measures must be a sequence"),
        (lambda: of.monitor(of.sgd(), {"a": 3}), "'a' must be a name or a function"),
        (lambda: of.monitor(of.sgd(), decay=1.0), "decay must be at least 0 and below"),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()
