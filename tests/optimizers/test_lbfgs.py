"""L-BFGS against closed forms; tests/parity/test_lbfgs.py compares with torch."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
FACTOR = RNG.normal(size=(8, 4))
HESSIAN = FACTOR.T @ FACTOR + np.eye(4)
SLOPE = RNG.normal(size=4)
MINIMUM = np.linalg.solve(HESSIAN, SLOPE)
START = np.array([1.0, -2.0, 0.5, 3.0])

SEARCHES = pytest.mark.parametrize("search", [None, "strong_wolfe"])


def quadratic(x):
    """Its minimum is at ``MINIMUM``; for leaves that are vectors of 4."""
    hessian, slope = jnp.asarray(HESSIAN, x.dtype), jnp.asarray(SLOPE, x.dtype)
    return 0.5 * x @ hessian @ x - slope @ x


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


@partial(jax.jit, static_argnames=("value_fn", "updates"))
def minimise(tx, params, *, value_fn, updates=1):
    """Parameters and state after some updates."""

    def step(carry, _):
        params, state = carry
        changes, state = tx.update(params, state, params, value_fn=value_fn)
        return (of.apply_updates(params, changes), state), None

    return jax.lax.scan(step, (params, tx.init(params)), None, updates)[0]


@SEARCHES
@pytest.mark.parametrize(
    ("value_fn", "start", "minimum", "lr"),
    [
        (quadratic, START, MINIMUM, 1.0),
        (rosenbrock, np.array([0.5, 0.7, 0.4]), np.ones(3), 0.3),
    ],
    ids=["quadratic", "rosenbrock"],
)
def test_finds_known_minima(search, value_fn, start, minimum, lr, x64):
    # Not until the value changes by less than 1e-9, which is well before the minimum.
    tx = of.lbfgs(1.0 if search else lr, tolerance_change=1e-18, line_search_fn=search)
    found, _ = minimise(tx, jnp.asarray(start), value_fn=value_fn, updates=8)
    # The gradient is at most 1e-7 there, the Hessians' least eigenvalues above 0.1.
    np.testing.assert_allclose(found, minimum, atol=1e-6)


def test_finds_a_minimum_in_float32():
    tx = of.lbfgs(line_search_fn="strong_wolfe")
    start = jnp.asarray(START, jnp.float32)
    found, state = minimise(tx, start, value_fn=quadratic, updates=2)
    assert found.dtype == state[0].d.dtype == jnp.float32
    # The rounding of a gradient of terms of order 10, over an eigenvalue of 1.
    np.testing.assert_allclose(found, MINIMUM, atol=1e-5)


@pytest.mark.parametrize("history_size", [1, 3, 10])
def test_the_direction_is_that_of_the_dense_update(history_size, x64):
    """``d = -H g`` with the matrix H written out, from the pairs in the state."""
    tx = of.step_by_lbfgs(0.2, max_iter=1, history_size=history_size)
    params = jnp.asarray([-1.2, 1.0, 0.3])
    points, gradients = [], []
    step = jax.jit(lambda p, s: tx.update(p, s, p, value_fn=rosenbrock))
    state = tx.init(params)
    for updates in range(6):
        points.append(np.asarray(params))
        gradients.append(np.asarray(jax.grad(rosenbrock)(params)))
        changes, state = step(params, state)
        params = params + changes
        pairs = [
            (s, y)
            for s, y in zip(
                np.diff(points, axis=0), np.diff(gradients, axis=0), strict=True
            )
            if s @ y > 1e-10
        ][-history_size:]
        inverse = np.eye(3)
        if pairs:
            s, y = pairs[-1]
            inverse *= (s @ y) / (y @ y)
        for s, y in pairs:
            left = np.eye(3) - np.outer(s, y) / (s @ y)
            inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
        np.testing.assert_allclose(state.d, -inverse @ gradients[-1], rtol=1e-8)
        size = 0.2 * (1 if updates else min(1, 1 / np.abs(gradients[-1]).sum()))
        np.testing.assert_allclose(changes, size * np.asarray(state.d), rtol=1e-8)


@pytest.mark.parametrize("lr", [1e-3, 1.0, 50.0])
def test_searched_steps_meet_the_strong_wolfe_conditions(lr, x64):
    tx = of.step_by_lbfgs(
        lr, max_iter=1, max_eval=25, line_search_fn="strong_wolfe", history_size=3
    )
    params = jnp.asarray([-1.2, 1.0, 0.3])
    step = jax.jit(lambda p, s: tx.update(p, s, p, value_fn=rosenbrock))
    state = tx.init(params)
    for _ in range(8):
        value, grad = jax.value_and_grad(rosenbrock)(params)
        changes, state = step(params, state)
        params = params + changes
        new_value, new_grad = jax.value_and_grad(rosenbrock)(params)
        slope, new_slope = grad @ state.d, new_grad @ state.d
        assert new_value <= value + 1e-4 * state.t * slope
        assert abs(new_slope) <= -0.9 * slope


@SEARCHES
def test_lanes_of_a_vmap_are_single_runs(search, x64):
    """They stop after different numbers of evaluations, one at the very first."""
    starts = jnp.stack([jnp.ones(2), *jnp.asarray(RNG.uniform(-1, 1.5, (4, 2)))])
    tx = of.lbfgs(0.1, line_search_fn=search, max_iter=12, history_size=4)
    run = partial(minimise, tx, value_fn=rosenbrock, updates=2)
    together = jax.vmap(run)(starts)
    counts = together[1][0].func_evals
    assert counts[0] == 2
    assert len(set(counts.tolist())) > (2 if search else 1)
    for i, start in enumerate(starts):
        alone = run(start)
        lane = jax.tree.map(lambda x, i=i: x[i], together)
        assert lane[1][0].func_evals == alone[1][0].func_evals
        # Batched sums may round otherwise, which a dozen iterations magnify.
        chex.assert_trees_all_close(lane, alone, rtol=1e-6, atol=1e-8)


def test_other_numbers_compile_nothing_and_the_function_is_traced_once():
    traced = []

    @jax.jit
    def step(tx, params, state, value):
        def value_fn(x):
            traced.append(None)
            return quadratic(x)

        return tx.update(params, state, params, value_fn=value_fn, value=value)

    params = jnp.asarray(START, jnp.float32)
    for search in (None, "strong_wolfe"):
        for value in (None, quadratic(params)):
            traced.clear()
            found = []
            for numbers in ({}, {"lr": 0.5}, {"tolerance_change": 1e-3}):
                tx = of.lbfgs(**numbers, max_iter=3, line_search_fn=search)
                found.append(step(tx, params, tx.init(params), value)[0])
            assert len(traced) == 1
            assert not np.array_equal(found[0], found[1])


def test_a_schedule_gives_the_learning_rate_of_each_update(x64):
    start = jnp.asarray(START)
    tx = of.lbfgs(lambda step: 0.1 / (1 + step.astype(jnp.float64)), max_iter=2)
    found, state = minimise(tx, start, value_fn=quadratic, updates=3)
    params, plain = start, of.lbfgs(0.1, max_iter=2)
    expected = plain.init(start)
    step = jax.jit(lambda tx, p, s: tx.update(p, s, p, value_fn=quadratic))
    for i in range(3):
        plain = of.replace_hyperparameters(plain, lr=0.1 / (1 + i))
        changes, expected = step(plain, params, expected)
        params = params + changes
    np.testing.assert_allclose(found, params, rtol=1e-12)
    np.testing.assert_allclose(state[0].inner.t, 0.1 / 3, rtol=1e-12)


@SEARCHES
def test_with_and_without_jit(search):
    tx = of.lbfgs(max_iter=3, line_search_fn=search)
    params = jnp.asarray(START, jnp.float32)
    plain = tx.update(params, tx.init(params), params, value_fn=quadratic)
    compiled = jax.jit(lambda p: tx.update(p, tx.init(p), p, value_fn=quadratic))(
        params
    )
    chex.assert_trees_all_close(plain, compiled, rtol=1e-5, atol=1e-6)


def mixed(params):
    """A function of leaves of all kinds; its minimum is at 0.5, and i for "z"."""
    total = jnp.abs(params["z"] - 1j) ** 2
    for leaf in (params["half"], params["scalar"], params["nothing"]):
        total = total + jnp.sum((leaf.astype(jnp.float32) - 0.5) ** 2)
    return total


@SEARCHES
def test_leaves_of_all_kinds(search):
    params = {
        "half": jnp.ones((2, 3), jnp.bfloat16),
        "none": None,
        "nothing": jnp.zeros((0, 2)),
        "scalar": jnp.zeros(()),
        "z": jnp.ones((), jnp.complex64),
    }
    found, (state,) = minimise(
        of.lbfgs(line_search_fn=search), params, value_fn=mixed, updates=2
    )
    chex.assert_trees_all_equal_shapes_and_dtypes(found, params)
    assert state.d.shape == (6 + 1 + 2,)
    assert state.d.dtype == jnp.float32
    np.testing.assert_allclose(found["scalar"], 0.5, atol=1e-5)
    np.testing.assert_allclose(found["z"], 1j, atol=1e-5)
    assert jnp.all(found["half"] == 0.5)


@pytest.mark.parametrize("params", [{}, None, {"a": jnp.zeros((0, 3))}])
def test_without_a_number_nothing_is_done(params):
    if params is None:
        params = (None, [])
    tx = of.lbfgs()
    updates, (state,) = tx.update(
        params, tx.init(params), params, value_fn=lambda params: jnp.float32(1)
    )
    chex.assert_trees_all_equal(updates, params)
    assert (state.func_evals, state.n_iter) == (1, 0)


def test_gradients_that_are_none_or_sparse(x64):
    params = {"x": jnp.asarray(START), "y": jnp.asarray(START)}

    def value_fn(params):
        return quadratic(params["x"]) + quadratic(params["y"])

    def first_step(**grads):
        tx = of.lbfgs(max_iter=1)
        value = value_fn(params)
        return tx.update(grads, tx.init(params), params, value_fn=value_fn, value=value)

    x = jnp.array([0.0, 2.0, 0.0, 0.0])
    sparse = BCOO((jnp.array([1.5, 0.5]), jnp.array([[1], [1]])), shape=(4,))
    dense = first_step(x=x, y=jnp.zeros(4))
    chex.assert_trees_all_close(first_step(x=sparse, y=None), dense)
    np.testing.assert_allclose(dense[0]["x"], -x / 2)


@SEARCHES
def test_a_function_that_is_not_finite_ends(search):
    start = jnp.asarray(START, jnp.float32)
    tx = of.lbfgs(line_search_fn=search, max_iter=4)

    def value_fn(x):
        return jnp.sum(jnp.log(x))

    _, (state,) = minimise(tx, start, value_fn=value_fn)
    assert state.n_iter <= 4


def test_the_state_can_be_donated():
    tx = of.lbfgs(max_iter=2)
    params = jnp.asarray(START, jnp.float32)
    step = jax.jit(
        lambda s: tx.update(params, s, params, value_fn=quadratic)[1],
        donate_argnums=0,
    )
    assert step(step(tx.init(params)))[0].func_evals == 4


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"lr": -1.0}, ValueError, "lr must be at least 0, found -1.0"),
        ({"max_iter": 0}, ValueError, "max_iter must be at least 1, found 0"),
        ({"max_iter": 2.5}, TypeError, "max_iter must be an integer, found 2.5"),
        ({"max_eval": 0}, ValueError, "max_eval must be at least 1, found 0"),
        ({"history_size": 0}, ValueError, "history_size must be at least 1, found 0"),
        ({"tolerance_grad": float("nan")}, ValueError, "tolerance_grad must be"),
        ({"tolerance_change": "1"}, TypeError, "tolerance_change must be a number"),
        ({"line_search_fn": "armijo"}, ValueError, "line_search_fn must be one of"),
    ],
)
def test_arguments_out_of_range(arguments, error, message):
    with pytest.raises(error, match=message):
        of.lbfgs(**arguments)


def test_what_an_update_needs():
    tx = of.lbfgs()
    params = {"a": jnp.ones(3), "b": jnp.ones(2)}
    state = tx.init(params)

    def value_fn(params):
        return jnp.sum(params["a"]) + jnp.sum(params["b"])

    with pytest.raises(TypeError, match="value_fn"):
        tx.update(params, state, params)
    update = partial(tx.update, value_fn=value_fn)
    with pytest.raises(ValueError, match="lbfgs needs the parameters"):
        update(params, state)
    with pytest.raises(ValueError, match="updates has no leaf at 'b'"):
        update({"a": params["a"]}, state, params)
    with pytest.raises(ValueError, match=r"differ in shape at 'b': \(3,\) and \(2,\)"):
        update({"a": params["a"], "b": jnp.ones(3)}, state, params)
    larger = {**params, "a": jnp.ones(4)}
    with pytest.raises(ValueError, match="100 vectors of 6 numbers"):
        update(larger, state, larger)
    with pytest.raises(TypeError, match="found int32 at 'b'"):
        tx.init({"a": params["a"], "b": jnp.arange(3)})


def test_the_ring_of_pairs_outlives_its_count():
    """Beyond 2^31 pairs the same rows are in use, in the same order."""
    tx = of.step_by_lbfgs(max_iter=3, history_size=3)

    def loss(x):
        return jnp.sum(jnp.arange(1.0, 6.0) * x**4)

    params = jnp.ones(5)
    state = tx.init(params)
    for _ in range(2):
        updates, state = tx.update(params, state, params, value_fn=loss)
        params = params + updates
    before = int(state.num_pairs)
    assert before >= 3
    # The last count for which the same rows are next.
    largest = 2**31 - 1
    late = state._replace(num_pairs=jnp.int32(largest - (largest - before) % 3))
    for _ in range(3):
        updates, state = tx.update(params, state, params, value_fn=loss)
        found, late = tx.update(params, late, params, value_fn=loss)
        np.testing.assert_array_equal(found, updates)
        params = params + updates
    assert state.num_pairs >= before + 3
    assert 3 <= late.num_pairs < 100
    assert late.num_pairs % 3 == state.num_pairs % 3
