"""A run that goes on inside another wrapper."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

pytestmark = pytest.mark.slow

BFLOAT16 = jnp.bfloat16
quantized = functools.partial(of.quantized, min_size=1, block_size=4)
WRAPPERS = {
    "master_weights": of.master_weights,
    "kahan": of.kahan,
    "split_weights": of.split_weights,
    "stochastic_rounding": of.stochastic_rounding,
    "dynamic_loss_scale": of.dynamic_loss_scale,
    "quantized": quantized,
    "both": lambda tx: of.master_weights(quantized(tx)),
}


def problem(dtype):
    values = np.linspace(-1, 1, 12).reshape(4, 3)
    params = {"w": jnp.asarray(values, dtype), "b": jnp.ones(3, dtype)}
    return params, jax.tree.map(lambda p: (0.3 * p + 0.1).astype(dtype), params)


def steps(tx, params, grads, count, state=None):
    state = tx.init(params) if state is None else state
    for _ in range(count):
        updates, state = tx.update(grads, state, params)
        params = of.apply_updates(params, updates)
    return params, state


def assert_same(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize("dtype", [BFLOAT16, jnp.float32])
def test_there_and_back(name, dtype):
    params, grads = problem(dtype)
    tx, wrapped = of.adamw(0.01), WRAPPERS[name](of.adamw(0.01))
    params, state = steps(tx, params, grads, 3)
    inside = jax.jit(functools.partial(of.convert_state, tx=wrapped))(
        state, params=params
    )
    initial = wrapped.init(params)
    assert jax.tree.structure(inside) == jax.tree.structure(initial)
    for found, expected in zip(*map(jax.tree.leaves, (inside, initial)), strict=True):
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    back = of.convert_state(inside, tx, params)
    assert jax.tree.structure(back) == jax.tree.structure(state)
    if name in ("quantized", "both"):
        # Half the widest gap of the codes of 8 bits.
        jax.tree.map(
            lambda f, e: np.testing.assert_allclose(
                np.float64(f), np.float64(e), atol=0.01 * np.max(np.abs(np.float64(e)))
            ),
            back,
            state,
        )
    else:
        assert_same(back, state)


def test_the_run_in_float32_goes_on_behind_narrow_parameters():
    """bfloat16 weights that are the rounding of a run's that stays in float32."""
    params, grads = problem(jnp.float32)
    # Representable in bfloat16, as gradients of the narrow run would be.
    grads = jax.tree.map(lambda g: g.astype(BFLOAT16).astype(jnp.float32), grads)
    tx, wrapped = of.adamw(0.01), of.master_weights(of.adamw(0.01))
    params, state = steps(tx, params, grads, 3)
    narrow = jax.tree.map(lambda p: p.astype(BFLOAT16), params)
    inside = of.convert_state(state, wrapped, narrow)
    assert_same(inside.inner, state)
    inside = inside._replace(master=params)
    found, inside = steps(wrapped, narrow, grads, 3, inside)
    expected, state = steps(tx, params, grads, 3, state)
    assert_same(of.find_in_state(inside, "master"), expected)
    assert_same(of.convert_state(inside, tx, expected), state)
    assert_same(found, jax.tree.map(lambda p: p.astype(BFLOAT16), expected))


def test_from_one_wrapper_to_another():
    params, grads = problem(BFLOAT16)
    params, state = steps(of.master_weights(of.adamw()), params, grads, 2)
    kahan = of.convert_state(state, of.kahan(of.adamw()), params)
    assert_same(kahan.inner, state.inner)
    assert_same(kahan.kahan_comp, jax.tree.map(jnp.zeros_like, params))


def test_counts_of_two_levels_are_told_apart():
    params, grads = problem(BFLOAT16)
    tx = of.stochastic_rounding(of.dynamic_loss_scale(of.adamw(), 1.0))
    bad = {**grads, "b": grads["b"] * jnp.nan}
    params, state = steps(tx, params, grads, 2)
    params, state = steps(tx, params, bad, 1, state)
    assert (int(state.step), int(of.find_in_state(state.inner, "step"))) == (3, 2)
    back = of.convert_state(state, of.adamw(), params)
    assert int(of.find_in_state(back, "step")) == 2
    assert_same(of.convert_state(state, tx, params), state)


def test_states_of_optax():
    params, grads = problem(jnp.float32)
    tx = optax.adam(0.1)
    with jax.numpy_dtype_promotion("standard"):
        params, state = steps(of.as_transformation(tx), params, grads, 2)
        inside = of.convert_state(state, of.master_weights(tx), params)
        back = of.convert_state(inside, tx, params)
    assert_same(back, state)


def test_what_is_no_wrapper_is_not_converted():
    params, _ = problem(jnp.float32)
    with pytest.raises(ValueError, match=r"tx needs .*exp_avg.*, which the state lac"):
        of.convert_state(of.sgd(0.1).init(params), of.adamw(), params)
    with pytest.raises(ValueError, match=r"the state has .*exp_avg.* does not take"):
        of.convert_state(of.adamw().init(params), of.sgd(0.1), params)
    with pytest.raises(ValueError, match=r"exp_avg has shape \(3,\), expected \(4,\)"):
        of.convert_state(
            of.adamw().init({"w": jnp.ones(3)}), of.adamw(), {"w": jnp.ones(4)}
        )
    two = of.partition(
        {"a": of.adamw(), "b": of.adamw()},
        lambda path, leaf: "a" if path == "w" else "b",
    )
    with pytest.raises(ValueError, match="may be any of"):
        of.convert_state(two.init(params), of.adamw(), params)
