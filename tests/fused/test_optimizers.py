"""Fused steps of the optimizers of the table are their plain steps."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of
import optifunc.compat.optax as compat

from ..table import ROWS
from .programs import STRICT, plain_step as plain

pytestmark = pytest.mark.slow

STEPS = 3
# One of each kind: without state, with momentum, with a maximum, with booleans, with
# integers, with a norm over all leaves, with a search.
SAMPLE = {"sgd", "sgd_nesterov", "adamw", "adam_amsgrad", "lion", "lamb", "rprop"}
SAMPLE |= {"adafactor", "muon", "prodigy", "clip_by_global_norm", "quantized"}


def marked(row):
    return pytest.param(
        row, id=row.name, marks=[] if row.name in SAMPLE else [pytest.mark.slow]
    )


def parameters(row, dtype=jnp.float32):
    values = jnp.asarray(np.linspace(-0.9, 1.0, 12).reshape(4, 3), dtype)
    others = {"other": values.T} if row.matrices else {"bias": values[0]}
    return {"kernel": values, **others}


def trajectory(step, row, params):
    """Parameters and state after some steps, and the program of one."""
    tx = of.as_transformation(row.build())

    @partial(jax.jit, compiler_options=STRICT)
    def run(params, state):
        return step(tx, row.gradient(params), state, params, **row.extra(params))

    carry = params, tx.init(params)
    text = run.lower(*carry).as_text()
    for _ in range(STEPS):
        carry = run(*carry)
    return carry, text


@pytest.mark.parametrize("row", [*map(marked, ROWS)])
def test_fused_steps_are_plain_steps(row):
    params = parameters(row)
    (found, state), _ = trajectory(of.apply_gradients, row, params)
    (expected, expected_state), _ = trajectory(plain, row, params)
    # A rounding or two in each of a few steps; of what is near zero, beside the rest.
    chex.assert_trees_all_close(found, expected, rtol=2e-5, atol=2e-6)
    assert jax.tree.structure(state) == jax.tree.structure(expected_state)
    for x, y in zip(*map(jax.tree.leaves, (state, expected_state)), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)


@pytest.mark.parametrize("name", ["adamw", "sgd_nesterov", "lion", "rmsprop", "adan"])
def test_these_are_fused(name):
    row = next(row for row in ROWS if row.name == name)
    _, text = trajectory(of.apply_gradients, row, parameters(row))
    assert text.count("custom_call @optifunc_") == 1


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["adamw", "sgd_nesterov"])
def test_narrow_parameters(name, dtype):
    row = next(row for row in ROWS if row.name == name)
    params = parameters(row, jnp.dtype(dtype))
    (found, _), text = trajectory(of.apply_gradients, row, params)
    (expected, _), _ = trajectory(plain, row, params)
    assert "custom_call @optifunc_" in text
    # One step of the dtype: a number may lie at the middle between two.
    chex.assert_trees_all_close(found, expected, rtol=float(jnp.finfo(dtype).eps))


@pytest.mark.parametrize("make", [lambda: optax.adamw(1e-2), lambda: optax.lion(1e-2)])
def test_steps_of_optax(make):
    with jax.numpy_dtype_promotion("standard"):
        tx, params = make(), {"x": jnp.linspace(-1, 1, 40)}

        def run(step):
            carry = params, tx.init(params)
            function = jax.jit(lambda p, s: step(tx, p, s, p))
            text = function.lower(*carry).as_text()
            for _ in range(STEPS):
                carry = function(*carry)
            return carry, text

        (found, text), (expected, _) = run(of.apply_gradients), run(plain)
        assert text.count("custom_call @optifunc_") == 1
        chex.assert_trees_all_close(found, expected, rtol=2e-5, atol=2e-6)


def test_steps_of_optaxs_names():
    """A chain of `optifunc.compat.optax`, in both forms of a fused step."""
    tx = compat.chain(
        compat.clip_by_global_norm(0.5),
        compat.adamw(compat.linear_schedule(1e-2, 1e-3, 10), mask={"x": True}),
    )
    params = {"x": jnp.linspace(-1, 1, 40)}

    def run(step):
        carry = params, tx.init(params)
        function = jax.jit(step)
        text = function.lower(*carry).as_text()
        for _ in range(STEPS):
            carry = function(*carry)
        return carry, text.count("custom_call @optifunc_")

    def simple(params, state):
        return plain(tx, params, state, params)

    expected, calls = run(simple)
    assert calls == 0
    for step in (
        lambda params, state: of.apply_gradients(tx, params, state, params),
        of.fuse(simple),
    ):
        found, calls = run(step)
        assert calls >= 1
        # As for the rows of the table.
        chex.assert_trees_all_close(found, expected, rtol=2e-5, atol=2e-6)
        assert jax.tree.structure(found) == jax.tree.structure(expected)


def test_a_training_step_with_the_gradient_inside():
    tx = of.adamw(0.1)

    def loss(params, x):
        return jnp.mean((x @ params["kernel"] - params["bias"][None]) ** 2)

    x = jnp.asarray(np.random.default_rng(0).standard_normal((20, 4)), jnp.float32)
    start = {"kernel": jnp.ones((4, 3)) / 3, "bias": jnp.zeros(3)}

    def run(step):
        def train(carry, _):
            params, state = carry
            value, grads = jax.value_and_grad(loss)(params, x)
            return step(tx, grads, state, params), value

        return jax.jit(lambda s: jax.lax.scan(train, (s, tx.init(s)), length=20))(start)

    chex.assert_trees_all_close(
        run(of.apply_gradients), run(plain), rtol=1e-4, atol=1e-6
    )


def test_outside_of_a_compiled_function_it_is_the_plain_step():
    tx, params = of.adamw(0.1), {"x": jnp.linspace(-1, 1, 10)}
    found = of.apply_gradients(tx, params, tx.init(params), params)
    jax.tree.map(
        np.testing.assert_array_equal, found, plain(tx, params, tx.init(params), params)
    )


def test_leaves_that_are_no_arrays_stay():
    """A model of Equinox holds functions where its gradients have None."""
    tx, grads = of.sgd(0.5), {"w": jnp.ones(4), "f": None}
    params = {"w": jnp.arange(4.0), "f": jnp.tanh}

    @jax.jit
    def step(w, grads):
        own = {**params, "w": w}
        new, _ = of.apply_gradients(tx, grads, tx.init({**own, "f": None}), own)
        assert new["f"] is jnp.tanh
        return new["w"]

    np.testing.assert_array_equal(step(params["w"], grads), np.arange(4) - 0.5)


def test_learning_rates_in_a_vmap():
    params = {"x": jnp.linspace(-1, 1, 12)}

    def run(step):
        def final(lr):
            tx = of.adamw(lr)
            carry = params, tx.init(params)
            for _ in range(2):
                carry = step(tx, carry[0], carry[1], carry[0])
            return carry[0]

        return jax.jit(jax.vmap(final))(jnp.array([0.1, 0.01]))

    chex.assert_trees_all_close(
        run(of.apply_gradients), run(plain), rtol=1e-5, atol=1e-6
    )


def test_differentiation_through_a_step():
    params = {"x": jnp.linspace(-1, 1, 12)}

    def loss(step, lr):
        tx = of.adam(lr)
        new, _ = step(tx, params, tx.init(params), params)
        return jnp.sum(new["x"] ** 2)

    found, expected = (
        jax.jit(jax.grad(lambda lr, s=s: loss(s, lr)))(jnp.float32(0.1))
        for s in (of.apply_gradients, plain)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)
