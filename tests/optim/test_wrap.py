"""Stateful optimizers inside a wrapper: their steps, and their checkpoints."""

import copy
import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of
from optifunc import optim

pytestmark = pytest.mark.slow

BFLOAT16 = jnp.bfloat16
quantized = functools.partial(of.quantized, min_size=1, block_size=4)


def master_of_codes(tx):
    return of.master_weights(quantized(tx))


WRAPPERS = {
    "master_weights": of.master_weights,
    "split_weights": of.split_weights,
    "kahan": of.kahan,
    "stochastic_rounding": of.stochastic_rounding,
    "quantized": quantized,
    "both": master_of_codes,
}


def problem():
    values = np.linspace(-1, 1, 12).reshape(4, 3)
    params = {"w": jnp.asarray(values, BFLOAT16), "b": jnp.ones(3, BFLOAT16)}
    return params, jax.tree.map(lambda p: (0.3 * p + 0.1).astype(BFLOAT16), params)


def assert_same(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("name", WRAPPERS)
def test_steps_are_those_of_the_wrapped_transformation(name):
    params, grads = problem()
    optimizer = optim.AdamW(params, lr=1e-3).wrap(WRAPPERS[name])
    tx = WRAPPERS[name](of.adamw(1e-3))
    state = tx.init(params)
    # Numbers that are arguments, as they are there: constants are rounded otherwise.
    numbers = jax.tree.map(jnp.asarray, tx)
    update = jax.jit(lambda tx, *arguments: tx.update(*arguments))
    for _ in range(4):
        optimizer.step(grads=grads)
        updates, state = update(numbers, grads, state, params)
        params = of.apply_updates(params, updates)
    assert_same(optimizer.params, params)
    assert_same(optimizer.functional()[1], state)


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_checkpoint_continues_bit_for_bit(name):
    params, grads = problem()
    build = functools.partial(optim.AdamW, lr=1e-3)
    optimizer = build(params).wrap(WRAPPERS[name])
    optimizer.step(grads={**grads, "b": None})
    for _ in range(3):
        optimizer.step(grads=grads)
    saved = pickle.loads(pickle.dumps(optimizer.state_dict()))
    others = [build(optimizer.params).wrap(WRAPPERS[name]), copy.deepcopy(optimizer)]
    others[0].load_state_dict(saved)
    others.append(pickle.loads(pickle.dumps(optimizer)))
    for each in (optimizer, *others):
        for _ in range(3):
            each.step(grads=grads)
        assert_same(each.params, optimizer.params)


def test_a_checkpoint_has_the_fields_of_the_wrapper_by_parameter():
    params, grads = problem()
    optimizer = optim.AdamW(params).wrap(of.master_weights)
    optimizer.step(grads=grads)
    entry = optimizer.state_dict()["state"][0]
    assert set(entry) == {"step", "exp_avg", "exp_avg_sq", "master"}
    assert entry["master"].dtype == np.float32
    assert optimizer.state_dict()["param_groups"][0].keys() == (
        optim.AdamW(params).state_dict()["param_groups"][0].keys()
    )
    with pytest.raises(ValueError, match=r"its state holds \['master'\]"):
        optim.AdamW(params).load_state_dict(optimizer.state_dict())


def test_hyperparameters_and_groups_stay_in_reach():
    params, grads = problem()
    groups = [{"params": params["w"], "lr": 0.1}, {"params": params["b"], "lr": 0.0}]
    optimizer = optim.SGD(groups).wrap(of.master_weights)
    optimizer.step(grads=[grads["w"], grads["b"]])
    np.testing.assert_array_equal(optimizer.params[1], params["b"])
    optimizer.param_groups[1]["lr"] = 0.1
    optimizer.step(grads=[grads["w"], grads["b"]])
    expected = jnp.float32(params["b"]) - 0.1 * jnp.float32(grads["b"])
    np.testing.assert_array_equal(optimizer.params[1], expected.astype(BFLOAT16))


def test_two_wrappers_are_one_around_the_other():
    params, grads = problem()
    one = optim.AdamW(params).wrap(quantized).wrap(of.master_weights)
    other = optim.AdamW(params).wrap(master_of_codes)
    for each in (one, other):
        each.step(grads=grads)
    assert_same(one.functional()[1], other.functional()[1])


def test_state_before_the_first_step_is_wrapped_too():
    """Adagrad has its sums from the start."""
    params, _ = problem()
    optimizer = optim.Adagrad(params).wrap(of.master_weights)
    assert set(optimizer.state[0]) == {"step", "sum", "master"}
    assert optim.AdamW(params).wrap(of.master_weights).state == {}


def test_where_a_wrapper_makes_no_sense():
    params, grads = problem()
    optimizer = optim.AdamW(params)
    with pytest.raises(TypeError, match=r"wrapper must be a function .* found True"):
        optimizer.wrap(True)
    with pytest.raises(
        ValueError, match="master_weights inside kahan would have no effect"
    ):
        optimizer.wrap(of.master_weights).wrap(of.kahan)
    optimizer.step(grads=grads)
    assert "master" in optimizer.state[0]
    with pytest.raises(RuntimeError, match="wrap was called after the first step"):
        optimizer.wrap(quantized)
    with pytest.raises(TypeError, match="LBFGS cannot be wrapped"):
        optim.LBFGS(params).wrap(of.master_weights)


def test_a_plain_run_goes_on_with_master_weights_and_back():
    params = {"w": jnp.linspace(-1, 1, 6, dtype=BFLOAT16).reshape(3, 2)}
    grads = {"w": jnp.linspace(0.5, -0.25, 6, dtype=BFLOAT16).reshape(3, 2)}
    plain = optim.AdamW(params, lr=1e-2)
    for _ in range(3):
        plain.step(grads=grads)
    wrapped = optim.AdamW(plain.params, lr=1e-2).wrap(of.master_weights)
    tx, _, params = wrapped.functional()
    state = of.convert_state(plain.functional()[1], tx, params)
    wrapped.load_functional(state, params)
    # The pure transformation from there, in float32.
    master = jax.tree.map(lambda p: p.astype(jnp.float32), params)
    inner = of.adamw(1e-2)
    own = of.convert_state(state, inner, params)
    for _ in range(3):
        wrapped.step(grads=grads)
        wide = jax.tree.map(lambda g: g.astype(jnp.float32), grads)
        updates, own = inner.update(wide, own, master)
        master = of.apply_updates(master, updates)
    np.testing.assert_array_equal(wrapped.params["w"], master["w"].astype(BFLOAT16))
    back_tx, _, _ = plain.functional()
    plain.load_functional(
        of.convert_state(wrapped.functional()[1], back_tx, wrapped.params),
        wrapped.params,
    )
    (saved,) = plain.state_dict()["state"].values()
    (kept,) = wrapped.state_dict()["state"].values()
    assert int(saved["step"]) == int(kept["step"]) == 6
    # State beside bfloat16 parameters is bfloat16, of a float32 master float32.
    np.testing.assert_array_equal(saved["exp_avg"], kept["exp_avg"].astype(BFLOAT16))
    plain.step(grads=grads)
