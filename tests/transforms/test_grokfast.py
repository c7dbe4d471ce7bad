"""Grokfast's filters: recorded runs of the authors' code, and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from ..optimizers.authors import assert_follows


def test_recorded_runs(x64):
    assert_follows("grokfast_ema", of.chain(of.grokfast_ema(0.9, 2.0), of.sgd(0.05)))
    assert_follows("grokfast_ma", of.chain(of.grokfast_ma(2, 5.0), of.sgd(0.05)))


@pytest.mark.parametrize("filter_type", ["mean", "sum"])
@pytest.mark.parametrize("warmup", [True, False])
def test_windows_against_numpy(filter_type, warmup, x64):
    grads = np.random.default_rng(0).normal(size=(20, 2, 3))
    tx = of.grokfast_ma(7, 0.5, filter_type, warmup)

    def step(state, grad):
        updates, state = tx.update({"w": grad, "none": None}, state)
        return state, updates["w"]

    start = tx.init({"w": jnp.zeros((2, 3)), "none": None})
    _, found = jax.lax.scan(step, start, jnp.asarray(grads))
    for t, update in enumerate(found):
        last = grads[max(t - 6, 0) : t + 1]
        slow = getattr(np, filter_type)(last, axis=0)
        is_due = len(last) == 7 or not warmup
        np.testing.assert_allclose(update, grads[t] + 0.5 * slow * is_due, 1e-12)


def test_a_slow_component_is_amplified_and_a_fast_one_is_not():
    """What the filters are for: a constant hidden under an alternating gradient."""
    alternating = jnp.resize(jnp.array([3.0, -3.0]), 400)
    for tx, gain in ((of.grokfast_ema(0.98, 2.0), 3), (of.grokfast_ma(100, 5.0), 6)):
        start = tx.init(jnp.zeros(()))

        def step(state, grad, tx=tx):
            updates, state = tx.update(grad, state)
            return state, updates

        _, found = jax.lax.scan(step, start, 0.1 + alternating)
        late = np.asarray(found[-100:], np.float64)
        np.testing.assert_allclose(np.mean(late), gain * 0.1, rtol=0.05)
        # An average of 50 gradients of one size leaves a fiftieth of it.
        np.testing.assert_allclose(np.std(late), 3, rtol=0.05)


def test_a_window_of_float16_sums_in_float32():
    """Terms of 1 and a large one that comes and goes."""
    tx, grads = of.grokfast_ma(100, 1.0, "sum"), jnp.ones((), "float16")
    state = tx.init(grads)
    for grad in [grads] * 99 + [jnp.asarray(2048, "float16")]:
        updates, state = tx.update(grad, state)
    assert updates.dtype == jnp.float16
    assert updates == np.float16(2048 + 2048 + 99)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: of.grokfast_ema(1.0), ValueError, "alpha must be .* below 1"),
        (lambda: of.grokfast_ema(lamb=float("nan")), ValueError, "lamb must be a num"),
        (lambda: of.grokfast_ma(0), ValueError, "window_size must be at least 1"),
        (lambda: of.grokfast_ma(2.0), TypeError, "window_size must be an integer"),
        (lambda: of.grokfast_ma(2, 1.0, "max"), ValueError, "filter_type must be one"),
        (lambda: of.grokfast_ma(warmup=1), TypeError, "warmup must be True or False"),
    ],
)
def test_bad_arguments(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_a_gradient_of_another_shape():
    tx = of.grokfast_ma(2)
    with pytest.raises(
        ValueError, match=r"shape of the parameters, \(3,\), found \(2,"
    ):
        tx.update(jnp.ones(2), tx.init(jnp.ones(3)))


def test_flattened_windows_are_windows_of_the_parts():
    params = {"a": jnp.ones((2, 2)), "b": jnp.ones(3)}
    grads = jax.tree.map(lambda p: 0.5 * p, params)
    flat, tx = of.flatten(of.grokfast_ma(2)), of.grokfast_ma(2)
    states = flat.init(params), tx.init(params)
    for _ in range(3):
        found, first = flat.update(grads, states[0], params)
        expected, second = tx.update(grads, states[1], params)
        states = first, second
        jax.tree.map(np.testing.assert_array_equal, found, expected)
