"""Averages of parameters with a start, a period and decays that rise."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

pytestmark = pytest.mark.slow


def averages(tx, count=8, dtype=jnp.float32):
    """The averages of p_t = t."""
    tx = of.chain(average=tx)

    def step(carry, _):
        params, state = carry
        _, state = tx.update(jnp.ones((), dtype), state, params)
        return (params + 1, state), state["average"]

    params = jnp.zeros((), dtype)
    _, states = jax.jit(
        lambda: jax.lax.scan(step, (params, tx.init(params)), length=count)
    )()
    found = [*of.find_all_in_state(states, of.EmaParametersState).values()]
    found += of.find_all_in_state(states, of.AverageState).values()
    return np.float64(found[0].average)


# ema-pytorch, TensorFlow and the authors' code, recorded with p_t = t.
DEBIASED = [
    1.0,
    1.5263157894736843,
    2.0701107011070117,
    2.6312881651642916,
    3.2097140484969846,
    3.8052176993719042,
    4.417593263294775,
    5.04660125012293,
]
POWER = [
    1.0,
    1.9959199683403497,
    2.9598120275831508,
    3.893965401662027,
    4.811819691708968,
    5.720485300157307,
    6.623578035043922,
    7.52306665807637,
]


def test_recorded_averages(x64):
    debiased = averages(of.ema_parameters(0.9, debias=True), 8, jnp.float64)
    np.testing.assert_allclose(debiased, DEBIASED, rtol=1e-9)
    decay = of.schedules.power_ema_decay(of.power_ema_gamma(0.1))
    power = averages(of.ema_parameters(decay), 8, jnp.float64)
    np.testing.assert_allclose(power, POWER, rtol=1e-9)
    decay = of.schedules.polynomial_ema_decay(8.0)
    polynomial = averages(of.ema_parameters(decay), 8, jnp.float64)
    expected = [1.0, 1.9, 2.8, 3.7, 4.6, 5.5, 6.4, 7.3]
    np.testing.assert_allclose(polynomial, expected, rtol=1e-9)


def test_the_plain_mean_is_the_polynomial_average_of_degree_0(x64):
    mean = averages(
        of.ema_parameters(of.schedules.polynomial_ema_decay(0.0)), 8, jnp.float64
    )
    expected = averages(of.average_parameters(), 8, jnp.float64)
    np.testing.assert_allclose(mean, expected, rtol=1e-12)


def by_definition(decays, every, start, debias):
    """The docstring's sums in float64, for p_t = t."""
    found, average, weights, terms = [], 0.0, [], []
    for t, decay in enumerate(decays, start=1):
        since = t - 1 - start
        if since < 0:
            average = t
        elif since % every == 0:
            weights = [w * decay for w in weights] + [1 - decay]
            terms.append(t)
            if debias:
                average = np.dot(weights, terms) / np.sum(weights)
            else:
                average = t if since == 0 else decay * average + (1 - decay) * t
        found.append(average)
    return found


@pytest.mark.parametrize("debias", [False, True])
@pytest.mark.parametrize(("every", "start"), [(1, 0), (2, 0), (3, 2), (1, 20)])
def test_every_start_and_debias(every, start, debias):
    decays = [0.9 - 0.1 * (t % 3) for t in range(8)]
    table = jnp.array(decays)
    tx = of.ema_parameters(lambda t: table[t], every, start, debias)
    # Averages of order 8 in float32.
    np.testing.assert_allclose(
        averages(tx), by_definition(decays, every, start, debias), rtol=3e-6
    )


def test_decays_of_diffusers_and_tensorflow(x64):
    counts = np.array([1, 2, 3, 11, 101, 10001]) - 1  # theirs count from 1
    power = jax.vmap(of.schedules.ema_decay_warmup(0.9999))(counts)
    expected = [0, 0.370039475053, 0.519250143231]
    expected += [0.797819991766, 0.953890994972, 0.997845708927]
    np.testing.assert_allclose(power, expected, atol=1e-11)
    ratio = jax.vmap(of.schedules.ema_decay_warmup(0.9999, "ratio"))(counts)
    expected = [0, 0.181818181818, 0.25, 0.55, 0.918181818182, 0.999100899101]
    np.testing.assert_allclose(ratio, expected, atol=1e-11)
    # TensorFlow's has 1/10 in place of the copy, and goes on alike.
    ratio = jax.vmap(of.schedules.ema_decay_warmup(0.999, "ratio"))(np.arange(1, 6))
    expected = [0.181818181818, 0.25, 0.307692307692, 0.357142857143, 0.4]
    np.testing.assert_allclose(ratio, expected, atol=1e-11)
    late = of.schedules.ema_decay_warmup(0.6, start=3, min_decay=0.5)
    found = [float(late(t)) for t in (0, 3, 4, 5, 1000)]
    np.testing.assert_allclose(found, [0, 0, 0.5, 0.519250143231, 0.6], atol=1e-11)


def test_decays_of_power_functions(x64):
    recorded = {
        0.05: 16.9721986023,
        0.1: 6.9372039376,
        0.15: 3.5578687749,
        0.25: 0.719823958,
    }
    for std, gamma in recorded.items():
        assert of.power_ema_gamma(std) == pytest.approx(gamma, rel=1e-10)
    narrow = of.schedules.power_ema_decay(of.power_ema_gamma(0.05))
    found = [float(narrow(t - 1)) for t in (1, 2, 10, 1000)]
    expected = [0, 3.88892110520e-6, 0.150534932477, 0.982179506297]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    wide = of.schedules.power_ema_decay(of.power_ema_gamma(0.1))
    found = [float(wide(t - 1)) for t in (2, 10, 1000)]
    expected = [0.00408003165965, 0.433324720682, 0.992090272645]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert of.power_ema_gamma(12**-0.5) == pytest.approx(0, abs=1e-6)


def test_half_lives_in_examples(x64):
    """After a half-life of updates, what was in the average counts half."""
    steady = of.schedules.ema_half_life(2048.0, 256.0, jnp.inf)
    decays = jax.vmap(steady)(jnp.arange(8))
    np.testing.assert_allclose(np.prod(decays), 0.5, rtol=1e-12)
    rising = of.schedules.ema_half_life(2048.0, 256.0)
    found = jax.vmap(rising)(jnp.array([0, 9, 87, 88, 10_000]))
    # 0.09 of the 1, 10, 88 and 89 batches seen, and then 8 batches.
    expected = 0.5 ** (1 / np.array([0.09, 0.9, 7.92, 8, 8]))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    one = of.schedules.ema_half_life(8.0)
    np.testing.assert_allclose(one(88), 0.5**0.125, rtol=1e-12)


def test_decays_are_exact_in_float32():
    """Late in a run ``1 - decay`` is what counts."""
    for t in (10, 1000, 10**6):
        found = 1 - np.float64(of.schedules.power_ema_decay(6.0)(t))
        expected = -np.expm1(7 * np.log1p(-1 / (t + 1)))
        # The distance of neighboring numbers below 1 is 6e-8.
        np.testing.assert_allclose(found, expected, atol=1.2e-7)


def test_post_hoc_weights_and_their_average():
    stds, steps = [0.05, 0.1, 0.05, 0.1], [512, 512, 1024, 1024]
    weights = of.post_hoc_ema_weights(stds, steps, 0.075, 1024)
    expected = [0.000135748281061, -0.00242662683059, 0.34296903586, 0.659321842689]
    np.testing.assert_allclose(weights, expected, rtol=1e-8, atol=1e-12)
    # One that was stored is found again.
    again = of.post_hoc_ema_weights(stds, steps, 0.1, 512)
    np.testing.assert_allclose(again, [0, 1, 0, 0], atol=1e-9)
    trees = [{"w": jnp.full(2, x), "n": None} for x in (1.0, 2.0, 3.0, 5.0)]
    found = of.post_hoc_ema(trees, stds, steps, 0.075)
    np.testing.assert_allclose(found["w"], np.dot(expected, [1, 2, 3, 5]), rtol=1e-6)


def test_a_post_hoc_average_is_near_the_one_that_was_not_kept(x64):
    stored, stds, steps = [], [], []
    kept = {}
    for std in (0.05, 0.06, 0.1):
        decay = of.schedules.power_ema_decay(of.power_ema_gamma(std))
        kept[std] = averages(of.ema_parameters(decay), 400, jnp.float64)
    for step in (100, 200, 300, 400):
        for std in (0.05, 0.1):
            stored.append(jnp.asarray(kept[std][step - 1]))
            stds.append(std)
            steps.append(step)
    found = of.post_hoc_ema(stored, stds, steps, 0.06)
    # Profiles are continuous functions of the step and averages are sums: the places
    # differ by two steps at most, where those of the widths stored are 23 apart.
    np.testing.assert_allclose(found, kept[0.06][-1], atol=2)


# --- functions ------------------------------------------------------------------------

NEW = {"w": jnp.array([1.0, jnp.nan]), "n": None}
OLD = {"w": jnp.array([3.0, 2.0]), "n": None}


@pytest.mark.parametrize("decay", [0.0, 0.25, 0.995, 1.0])
def test_target_networks_are_optaxs(decay):
    new, old = {"w": jnp.array([1.0, -4.0])}, {"w": jnp.array([3.0, 2.0])}
    found = jax.jit(of.update_ema)(new, old, jnp.float32(decay))
    expected = optax.incremental_update(new, old, 1 - decay)
    np.testing.assert_allclose(found["w"], expected["w"], rtol=2e-6)
    if decay in (0, 1):
        np.testing.assert_array_equal(found["w"], (old if decay else new)["w"])


def test_a_periodic_copy_is_optaxs():
    for step in range(7):
        found = jax.jit(of.periodic_update)(NEW, OLD, jnp.int32(step), 3)
        expected = optax.periodic_update(NEW, OLD, jnp.int32(step), 3)
        np.testing.assert_array_equal(found["w"], expected["w"])


def test_a_narrow_target_moves_in_steps_of_its_own_dtype():
    old = jnp.ones(2, jnp.bfloat16)
    found = of.update_ema(jnp.full(2, 3.0), old, 0.5)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found.astype(jnp.float32), 2.0)


def test_a_wide_average_of_narrow_parameters_moves():
    params = jnp.ones(2, jnp.bfloat16)
    found = {}
    for dtype in (None, jnp.float32):
        tx = of.ema_parameters(0.999, dtype=dtype)
        _, state = tx.update(jnp.zeros_like(params), tx.init(params), params)
        _, state = tx.update(jnp.zeros_like(params), state, 2 * params)
        found[dtype] = state.average
        assert of.eval_params(tx, state, params).dtype == jnp.bfloat16
    np.testing.assert_array_equal(found[None].astype(jnp.float32), 1.0)
    np.testing.assert_allclose(found[jnp.float32], 1.001, rtol=1e-6)


def test_inside_accumulation_an_average_counts_updates():
    def run(tx, repeats):
        params, state = jnp.array([1.0, 2.0]), tx.init(jnp.array([1.0, 2.0]))
        for _ in range(3 * repeats):
            updates, state = tx.update(0.1 * params, state, params)
            params = of.apply_updates(params, updates)
        return params, of.eval_params(tx, state, params)

    inner = of.chain(of.sgd(0.1), of.ema_parameters(0.5))
    once = run(inner, 1)
    accumulated = run(of.accumulate_gradients(inner, 4), 4)
    for x, y in zip(accumulated, once, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.ema_parameters(every=0), "every must be at least 1, found 0"),
        (lambda: of.ema_parameters(start=1.5), "start must be an integer, found 1.5"),
        (lambda: of.ema_parameters(dtype=jnp.int32), "dtype must be a float"),
        (lambda: of.update_ema(OLD, OLD, 1.5), "decay must be at least 0 and at most"),
        (lambda: of.update_ema({}, OLD, 0.5), "no leaf at"),
        (lambda: of.periodic_update(OLD, OLD, 1, 0), "period must be at least 1"),
        (lambda: of.power_ema_gamma(0.3), "std must be above 0 and at most"),
        (lambda: of.post_hoc_ema_weights([0.1], [], 0.1, 1), "stds and steps must"),
        (lambda: of.post_hoc_ema_weights([0.1], [5], 0.1, 6), "step must be at least"),
        (lambda: of.post_hoc_ema([], [0.1], [5], 0.1), "averages and stds must have"),
        (lambda: of.schedules.ema_decay_warmup(form="x"), "form must be one of"),
        (lambda: of.schedules.ema_decay_warmup(1.5), "decay must be at least 0"),
        (lambda: of.schedules.power_ema_decay(-1.0), "gamma must be at least 0"),
        (lambda: of.schedules.ema_half_life(0.0), "half_life must be above 0"),
        (lambda: of.schedules.ema_half_life(1.0, 0.0), "batch_size must be above 0"),
        (lambda: of.schedules.ema_half_life(1.0, 1.0, 0.0), "rampup_ratio must be"),
        (lambda: of.schedules.polynomial_ema_decay(-1.0), "gamma must be at least 0"),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()
