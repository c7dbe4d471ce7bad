"""Accumulated gradients against one large batch, optax and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of


def batches(n, dtype=jnp.float32):
    rng = np.random.default_rng(1)
    return [
        {"w": jnp.asarray(rng.normal(size=(3, 2)), dtype), "b": [jnp.asarray(i, dtype)]}
        for i in range(1, n + 1)
    ]


PARAMS = jax.tree.map(jnp.ones_like, batches(1)[0])


def run(tx, grads, params=PARAMS, **extra):
    """The updates of each micro-batch, and the states after them."""
    update = jax.jit(tx.update)
    state, found = tx.init(params), []
    for grad in grads:
        updates, state = update(grad, state, params, **extra)
        params = of.apply_updates(params, updates)
        found.append((updates, state))
    return found


def assert_close(found, wanted, rtol=1e-6):
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-7),
        found,
        wanted,
    )


def inner():
    return of.adamw(0.1)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_equals_the_step_of_one_large_batch(reduction):
    grads = batches(6)
    found = run(of.accumulate_gradients(inner(), 3, reduction), grads)
    reduce = {"mean": np.mean, "sum": np.sum}[reduction]
    large = [
        jax.tree.map(
            lambda *x: jnp.asarray(reduce(np.float64(x), axis=0), jnp.float32),
            *grads[i : i + 3],
        )
        for i in (0, 3)
    ]
    wanted = run(inner(), large)
    for i in (0, 1, 3, 4):
        assert all(np.all(x == 0) for x in jax.tree.leaves(found[i][0]))
    for i, (updates, state) in zip((2, 5), wanted, strict=True):
        assert_close(found[i][0], updates)
        assert_close(found[i][1].inner, state, rtol=1e-5)
    # In between the inner state does not move.
    assert jax.tree.all(
        jax.tree.map(jnp.array_equal, found[2][1].inner, found[4][1].inner)
    )
    counts = [(int(s.micro_step), int(s.step)) for _, s in found]
    assert counts == [(1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2)]


def test_is_optaxs_multi_steps():
    grads = batches(6)
    found = run(of.accumulate_gradients(optax.sgd(0.1, 0.9), 2), grads)
    reference = optax.MultiSteps(optax.sgd(0.1, 0.9), 2)
    state, params = reference.init(PARAMS), PARAMS
    for grad, (updates, _) in zip(grads, found, strict=True):
        with jax.numpy_dtype_promotion("standard"):
            wanted, state = reference.update(grad, state, params)
        assert_close(updates, wanted)


def test_every_may_follow_a_schedule_of_inner_updates():
    def every(step):
        return jnp.where(step < 2, 1, 2 + step)

    tx = of.accumulate_gradients(of.scale(1.0), every)
    grads = [jnp.asarray(float(i)) for i in range(1, 11)]
    found = run(tx, grads, jnp.zeros(()))
    # Cycles of 1, 1, 4 and 5 micro-batches (the last is not complete).
    emitted = [float(u) for u, _ in found]
    assert emitted == [1, 2, 0, 0, 0, 4.5, 0, 0, 0, 0]
    in_force = [int(of.current_hyperparameters(tx, s)["every"]) for _, s in found]
    assert in_force == [1, 4, 4, 4, 4, 5, 5, 5, 5, 5]


def test_every_may_be_an_argument_of_a_compiled_function():
    compiled = []

    @jax.jit
    def second(tx):
        compiled.append(tx)
        state = tx.init(jnp.ones(2))
        _, state = tx.update(jnp.ones(2), state)
        return tx.update(3 * jnp.ones(2), state)[0]

    for every, wanted in ((1, 3.0), (2, 2.0), (3, 0.0)):
        tx = of.accumulate_gradients(of.scale(1.0), every)
        np.testing.assert_array_equal(second(tx), [wanted, wanted])
    assert len(compiled) == 1
    cycles = jax.vmap(lambda every: second(of.accumulate_gradients(of.adam(), every)))
    assert np.count_nonzero(cycles(jnp.arange(1, 4)), axis=1).tolist() == [2, 2, 0]


def test_narrow_gradients_are_accumulated_in_float32():
    # A running mean in bfloat16 comes to rest where its change is below half a unit.
    grads = [jnp.asarray([x], jnp.bfloat16) for x in [2.0] + 63 * [1.0]]
    exact = np.mean(np.stack([np.float64(g) for g in grads]))
    params = jnp.ones(1, jnp.bfloat16)
    errors = {}
    for dtype in (None, jnp.bfloat16):
        tx = of.accumulate_gradients(of.scale(1.0), 64, accumulator_dtype=dtype)
        assert tx.init(params).accumulated.dtype == (dtype or jnp.float32)
        updates, _ = run(tx, grads, params)[-1]
        assert updates.dtype == jnp.bfloat16
        errors[dtype] = abs(float(updates[0]) - exact)
    # Half a unit in the last place of bfloat16 near 1.
    assert errors[None] <= 2**-8
    assert errors[jnp.bfloat16] > 2**-5


def test_an_infinite_gradient_does_not_outlive_its_cycle():
    tx = of.accumulate_gradients(of.scale(1.0), 2)
    grads = [jnp.array([x]) for x in (jnp.inf, 1.0, 2.0, 4.0)]
    assert float(run(tx, grads, jnp.ones(1))[-1][0][0]) == 3.0


def test_complex_leaves_and_extra_arguments():
    tx = of.accumulate_gradients(
        of.conditionally(of.scale(2.0), lambda step, value: value > 1),
        2,
        accumulator_dtype=jnp.float32,
    )
    grads = [jnp.array([1 + 1j], jnp.complex64), jnp.array([3 - 1j], jnp.complex64)]
    for value, wanted in ((2.0, 4.0), (0.0, 2.0)):
        updates, _ = run(tx, grads, grads[0], value=value)[-1]
        assert updates[0] == wanted


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.accumulate_gradients(inner(), 0), "every must be at least 1"),
        (lambda: of.accumulate_gradients(inner(), 1.5), "every must be an integer"),
        (lambda: of.accumulate_gradients(inner(), True), "every must be an integer"),
        (
            lambda: of.accumulate_gradients(inner(), 2, "max"),
            r"reduction must be one of \('mean', 'sum'\), found 'max'",
        ),
        (
            lambda: of.accumulate_gradients(inner(), 2, accumulator_dtype="int8"),
            "accumulator_dtype must be a float, found int8",
        ),
        (
            lambda: run(
                of.accumulate_gradients(of.scale(1.0), 2),
                [BCOO.fromdense(jnp.ones((2, 2)))],
                jnp.ones((2, 2)),
            ),
            "a sparse gradient",
        ),
        (
            lambda: of.accumulate_gradients(of.scale(1.0), 2).update(
                batches(1)[0], of.accumulate_gradients(inner(), 2).init({"w": 1.0})
            ),
            "has no leaf at 'b.0'",
        ),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()
