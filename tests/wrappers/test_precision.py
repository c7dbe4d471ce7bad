"""Narrow parameters: master weights, halves, compensation, random rounding, dtypes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of
from optifunc import optim
from optifunc._rounding import random_bits, rounded, stochastically_rounded

BFLOAT16 = jnp.bfloat16
START = jnp.asarray([1, -2, 3], BFLOAT16)
ONES = jnp.ones(3, BFLOAT16)
NARROW = {
    "master_weights": of.master_weights,
    "kahan": of.kahan,
    "stochastic_rounding": of.stochastic_rounding,
    "split_weights": of.split_weights,
}
every_narrow = pytest.mark.parametrize("name", NARROW)


def steps(tx, params, grads, count, compiled=True):
    """Parameters and state after some steps, compiled or operation by operation."""

    def step(params, state):
        updates, state = tx.update(grads, state, params)
        return of.apply_updates(params, updates), state

    step = jax.jit(step) if compiled else step
    state = tx.init(params)
    for _ in range(count):
        params, state = step(params, state)
    return params, state


def in_float64(x):
    return np.asarray(x, np.float64)


# --- rounding -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [BFLOAT16, jnp.float16])
def test_rounding_survives_the_compiler(dtype):
    rng = np.random.default_rng(0)
    x = np.float32(rng.normal(size=1000) * 10.0 ** rng.integers(-9, 5, 1000))
    x = np.concatenate([x, np.float32([0, -0.0, np.inf, -np.inf, np.nan, 3e38, 7e4])])
    # NumPy's casts know nothing of XLA.
    with np.errstate(over="ignore"):
        expected = x.astype(dtype).astype(np.float32)
    for function in (rounded, jax.jit(rounded, static_argnums=1)):
        np.testing.assert_array_equal(function(jnp.asarray(x), dtype), expected)


@pytest.mark.parametrize(
    ("x", "down", "up", "share"),
    [
        (1.002197265625, 1.0, 1.0078125, 0.28125),
        (-3.1415927, -3.140625, -3.15625, 0.061935),
        (1.9999999, 1.9921875, 2.0, 65535 / 65536),  # into the next binade
        (1e-3, 0.00099945068359375, 0.001007080078125, None),
    ],
)
def test_stochastic_rounding_is_right_on_average(x, down, up, share):
    count = 1_000_000
    bits = random_bits(jnp.asarray([3, 4], jnp.uint32), (count,))
    found = in_float64(stochastically_rounded(jnp.full(count, x, jnp.float32), bits))
    assert set(np.unique(found)) == {down, up}
    exact = (np.float64(np.float32(x)) - down) / (up - down)
    if share is not None:
        assert exact == pytest.approx(share, abs=1e-6)
    # Four standard errors of a mean of Bernoulli draws.
    error = abs(up - down) * np.sqrt(exact * (1 - exact) / count)
    assert abs(found.mean() - np.float64(np.float32(x))) <= 4 * error


def test_random_bits_are_as_good_as_random():
    """Each number equally often; no two places, steps or parameters alike."""
    count = 1 << 20
    keys = [
        jax.random.key_data(jax.random.fold_in(jax.random.key(7), step))
        for step in range(3)
    ]
    # Those of parameters differ in the second number, perhaps by one bit.
    keys += [keys[0] ^ np.uint32([0, change]) for change in (1, 1 << 31, 0x9ABCDEF1)]
    draws = [in_float64(random_bits(key, (count,))) for key in keys]
    expected = count / 65536
    for x in draws:
        counts = np.bincount(x.astype(np.int64), minlength=65536)
        surplus = np.sum((counts - expected) ** 2) / expected - 65535
        # Five standard deviations of chi-square, and of the correlations below.
        assert abs(surplus) < 5 * np.sqrt(2 * 65535)
    units = [(x - x.mean()) / x.std() for x in draws]
    for x in units:
        for lag in (1, 2, 3, 16, 256, 768, 1024, 4096):
            assert abs(np.mean(x[:-lag] * x[lag:])) < 5 / np.sqrt(count)
    for i, x in enumerate(units):
        for y in units[:i]:
            for lag in (0, 1, 16, 768):
                paired = x[lag:] * y[: count - lag]
                assert abs(np.mean(paired)) < 5 / np.sqrt(count)
    # The shape is only a shape.
    same = random_bits(keys[0], (64, count // 64))
    np.testing.assert_array_equal(in_float64(same).ravel(), draws[0])


def test_stochastic_rounding_at_the_ends():
    every = jnp.asarray([0, 1, 65535], jnp.uint16)
    largest = float(jnp.finfo(jnp.float32).max)
    for x in (0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan):
        found = stochastically_rounded(jnp.full(3, x, jnp.float32), every)
        np.testing.assert_array_equal(found, np.full(3, x, np.float32))
        np.testing.assert_array_equal(np.signbit(found), np.signbit(np.full(3, x)))
    found = stochastically_rounded(jnp.full(3, largest, jnp.float32), every)
    assert found.tolist() == [float(jnp.finfo(BFLOAT16).max), np.inf, np.inf]


# --- small steps add up ---------------------------------------------------------------


def test_without_a_wrapper_nothing_moves():
    params, _ = steps(of.sgd(1e-3), START, ONES, 20)
    np.testing.assert_array_equal(params, START)


@pytest.mark.parametrize("compiled", [True, False])
def test_kahan_does_as_the_reference(compiled):
    """The run of an optimizer of torch-optimi with `kahan_sum=True`."""
    tx = of.kahan(of.sgd(1e-3))
    for count, expected in (
        (1, [1, -2, 3]),
        (2, [0.99609375, -2, 3]),
        (20, [0.98046875, -2.015625, 2.984375]),
    ):
        params, state = steps(tx, START, ONES, count, compiled)
        assert params.dtype == BFLOAT16
        np.testing.assert_array_equal(in_float64(params), expected)
    comp = [-0.00045776367, -0.004425048828, -0.004425048828]
    assert state.kahan_comp.dtype == BFLOAT16
    np.testing.assert_allclose(in_float64(state.kahan_comp), comp, rtol=1e-7)


def adamw(**options):
    return of.adamw(1e-3, weight_decay=0.1, **options)


def problem(dtype):
    rng = np.random.default_rng(3)
    start = {"w": jnp.asarray(rng.normal(size=(8, 5)), dtype), "b": jnp.ones((), dtype)}
    return start, jax.tree.map(lambda p: (0.3 * p + 0.1).astype(dtype), start)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("dtype", [BFLOAT16, jnp.float16])
def test_master_weights_are_the_run_in_float32(dtype, compiled):
    params, grads = problem(dtype)
    wide = [jax.tree.map(lambda p: p.astype(jnp.float32), x) for x in (params, grads)]
    tx = of.master_weights(adamw())
    found, state = steps(tx, params, grads, 30, compiled)
    expected, inner = steps(adamw(), *wide, 30, compiled)
    jax.tree.map(np.testing.assert_array_equal, state.master, expected)
    jax.tree.map(np.testing.assert_array_equal, state.inner, inner)
    jax.tree.map(
        lambda f, e: np.testing.assert_array_equal(f, np.asarray(e).astype(dtype)),
        found,
        expected,
    )


@pytest.mark.parametrize("compiled", [True, False])
def test_split_weights_are_the_run_in_float32(compiled):
    params, grads = problem(BFLOAT16)
    wide = [jax.tree.map(lambda p: p.astype(jnp.float32), x) for x in (params, grads)]
    found, state = steps(of.split_weights(adamw()), params, grads, 30, compiled)
    expected, _ = steps(adamw(), *wide, 30, compiled)
    for upper, lower, whole in zip(
        *map(jax.tree.leaves, (found, state.lower, expected)), strict=True
    ):
        bits = np.asarray(whole).view(np.uint32)
        np.testing.assert_array_equal(np.asarray(upper).view(np.uint16), bits >> 16)
        np.testing.assert_array_equal(lower, bits & 0xFFFF)


def test_split_weights_of_a_known_number(x64):
    # The step brings 1.234375 to 1.2345678 = 0x3f9e0651.
    start = jnp.asarray([1.234375], BFLOAT16)
    step = jnp.asarray([np.float32(1.2345678) - np.float32(1.234375)], jnp.float32)
    tx = of.split_weights(of.identity())
    updates, state = tx.update(step, tx.init(start), start)
    assert of.apply_updates(start, updates).tolist() == [1.234375]
    assert state.lower.tolist() == [1617]


@every_narrow
def test_training_keeps_up_with_float32(name):
    """1000 steps of AdamW move weights of 1 by nothing at all in plain bfloat16."""
    count = 1000
    params, grads = jnp.ones(400, BFLOAT16), jnp.full(400, 0.1, BFLOAT16)
    plain, _ = steps(of.adamw(1e-4), params, grads, count)
    np.testing.assert_array_equal(plain, params)
    expected, _ = steps(
        of.adamw(1e-4), params.astype(jnp.float32), grads.astype(jnp.float32), count
    )
    found, _ = steps(NARROW[name](of.adamw(1e-4)), params, grads, count)
    # One digit below 1 is 1/256. A mean of 400 random roundings is better than that,
    # but each rounding moves the next step's decay.
    assert abs(in_float64(found).mean() - float(expected[0])) < 1 / 256
    assert abs(float(expected[0]) - 1) > 0.09


def test_stochastic_rounding_repeats_and_does_not_know_its_neighbors():
    params, grads = problem(BFLOAT16)
    tx = of.stochastic_rounding(of.sgd(1e-3), seed=3)
    found, state = steps(tx, params, grads, 5)
    again, _ = steps(tx, params, grads, 5, compiled=False)
    np.testing.assert_array_equal(found["w"], again["w"])
    alone, _ = steps(tx, {"w": params["w"]}, {"w": grads["w"]}, 5)
    np.testing.assert_array_equal(found["w"], alone["w"])
    others, _ = steps(of.stochastic_rounding(of.sgd(1e-3), seed=4), params, grads, 5)
    assert not np.array_equal(found["w"], others["w"])
    # A checkpoint in the middle changes nothing.
    middle, kept = steps(tx, params, grads, 3)
    for _ in range(2):
        updates, kept = tx.update(grads, kept, middle)
        middle = of.apply_updates(middle, updates)
    np.testing.assert_array_equal(found["w"], middle["w"])
    jax.tree.map(np.testing.assert_array_equal, kept, state)


@every_narrow
def test_an_update_of_zero_changes_nothing(name):
    params = jnp.asarray([1.0, -0.0, jnp.inf, 3e38], BFLOAT16)
    tx = NARROW[name](of.sgd(0.1))
    found, _ = steps(tx, params, jnp.zeros(4, BFLOAT16), 3)
    np.testing.assert_array_equal(found, params)


@every_narrow
def test_wide_leaves_are_left_alone(name):
    params = {"narrow": START, "wide": jnp.ones(3), "pair": jnp.ones(2, jnp.complex64)}
    grads = jax.tree.map(jnp.ones_like, params)
    found, state = steps(NARROW[name](adamw()), params, grads, 3)
    expected, _ = steps(adamw(), params, grads, 3)
    for key in ("wide", "pair"):
        np.testing.assert_array_equal(found[key], expected[key])
    own = jax.tree.leaves(state._replace(inner=()))
    assert sum(leaf.nbytes for leaf in own) <= 12 + 12  # of 3 numbers; key and step


@every_narrow
def test_what_belongs_to_a_parameter_is_known(name):
    """Stateful checkpoints, and bytes of state, follow the parameters."""
    params, grads = problem(BFLOAT16)
    tx = NARROW[name](adamw())
    own = {"master_weights": 4, "kahan": 2, "split_weights": 2}.get(name, 0)
    rows = {row.name: row for row in of.describe(tx, params).rows}
    assert rows["w"].state_bytes == 40 * (own + 8)
    optimizer = optim.Stateful(tx, params)
    optimizer.step(grads=grads)
    other = optim.Stateful(tx, optimizer.params)
    other.load_state_dict(optimizer.state_dict())
    for each in (optimizer, other):
        for _ in range(3):
            each.step(grads=grads)
    jax.tree.map(np.testing.assert_array_equal, optimizer.params, other.params)


@every_narrow
def test_a_function_of_the_parameters_gets_narrow_ones(name):
    seen = []

    @of.transformation
    class look(of.GradientTransformation):
        def init(self, params):
            return ()

        def update(self, updates, state, params=None, *, value_fn, **extra):
            seen.append(jax.tree.leaves(params)[0].dtype)
            value_fn(params)
            return updates, state

    def value_fn(params):
        seen.append(params["w"].dtype)
        return jnp.sum(params["w"])

    params, grads = problem(BFLOAT16)
    tx = NARROW[name](look())
    tx.update(grads, tx.init(params), params, value_fn=value_fn)
    assert seen == [jnp.float32, BFLOAT16]


@every_narrow
def test_sparse_gradients_of_narrow_parameters_are_refused(name):
    params = {"table": jnp.ones((4, 2), BFLOAT16)}
    grads = {"table": BCOO.fromdense(params["table"], n_batch=0, n_dense=1)}
    tx = NARROW[name](of.scale(0.1))
    with pytest.raises(TypeError, match=f"{name} takes only dense .* at 'table'"):
        tx.update(grads, tx.init(params), params)


def test_master_weights_in_another_dtype(x64):
    params, grads = problem(jnp.float32)
    tx = of.master_weights(adamw(), dtype=jnp.float64)
    _, state = steps(tx, params, grads, 3)
    assert state.master["w"].dtype == jnp.float64
    assert tx == of.master_weights(adamw(), "float64")
    for dtype in (jnp.int32, "words", jnp.complex64):
        with pytest.raises(ValueError, match="dtype must be a real floating-point"):
            of.master_weights(adamw(), dtype=dtype)


# --- the dtype of state ---------------------------------------------------------------


def dtypes(tree):
    return jax.tree.map(lambda x: x.dtype, tree)


def test_the_dtype_of_a_field_is_what_optax_calls_mu_dtype():
    params, grads = problem(jnp.float32)
    ours = of.state_dtype(of.adam(0.1), {"exp_avg": BFLOAT16})
    theirs = optax.adam(0.1, mu_dtype=BFLOAT16)
    found, state = steps(ours, params, grads, 20)
    assert {*jax.tree.leaves(dtypes(state[0].exp_avg))} == {np.dtype(BFLOAT16)}
    assert {*jax.tree.leaves(dtypes(state[0].exp_avg_sq))} == {np.dtype(np.float32)}
    with jax.numpy_dtype_promotion("standard"):
        expected, _ = steps(of.as_transformation(theirs), params, grads, 20)
    # Each step moves by 0.1 times a mean that remembers 10 roundings to 8 digits.
    jax.tree.map(
        lambda f, e: np.testing.assert_allclose(f, e, atol=20 * 0.1 * 10 * 2**-9),
        found,
        expected,
    )


@pytest.mark.parametrize(
    "inner",
    [of.adam(0.1), optax.adam(0.1), of.masked(of.adam(0.1), {"w": True, "b": False})],
)
def test_all_state_in_one_dtype(inner):
    with jax.numpy_dtype_promotion("standard"):
        params, grads = problem(jnp.float32)
        tx = of.state_dtype(inner, BFLOAT16)
        _, state = steps(tx, params, grads, 3)
        assert {x.dtype for x in jax.tree.leaves(state)} == {
            np.dtype(BFLOAT16),
            np.dtype(np.int32),
        }
        _, before = steps(of.as_transformation(inner), params, grads, 3)
        jax.tree.map(
            lambda f, e: np.testing.assert_allclose(
                in_float64(f), in_float64(e), rtol=3 * 2**-7
            ),
            state,
            before,
        )


def test_second_moments_of_bfloat16_parameters_in_float32():
    params, grads = jnp.ones(3, BFLOAT16), jnp.full(3, 0.3, BFLOAT16)
    _, stuck = steps(of.adam(), params, grads, 2000)
    _, state = steps(of.state_dtype(of.adam(), jnp.float32), params, grads, 2000)
    exact = float(grads[0]) ** 2 * (1 - 0.999**2000)
    assert state[0].exp_avg_sq.dtype == jnp.float32
    np.testing.assert_allclose(state[0].exp_avg_sq, exact, rtol=1e-4)
    assert float(stuck[0].exp_avg_sq[0]) < 0.5 * exact


def test_unknown_fields_and_dtypes_are_named():
    with pytest.raises(ValueError, match=r"dtype\['exp_avg'\] must be a real floating"):
        of.state_dtype(of.adam(), {"exp_avg": jnp.int8})
    with pytest.raises(ValueError, match="dtype must be a real floating-point"):
        of.state_dtype(of.adam(), 3)
    tx = of.state_dtype(of.adam(), {"mu": BFLOAT16})
    with pytest.raises(ValueError, match=r"the field 'mu', .* known: .*'exp_avg'"):
        tx.init(START)


def test_equal_choices_are_equal_values():
    tx = of.state_dtype(of.adam(), {"exp_avg": BFLOAT16, "exp_avg_sq": "float32"})
    assert tx == of.state_dtype(
        of.adam(), {"exp_avg_sq": np.float32, "exp_avg": "bfloat16"}
    )
    assert of.replace_hyperparameters(tx, lr=0.1).dtype == tx.dtype
