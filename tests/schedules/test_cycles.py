"""REX, inverse and power decays, cycles, cooldowns, and optax's one-cycle timing."""

import jax
import numpy as np
import optax
import pytest

import optifunc as of

pytestmark = pytest.mark.slow

S = of.schedules
STEPS = np.arange(30, dtype=np.int32)


def values(schedule, steps=STEPS):
    with jax.enable_x64(True):
        return np.asarray(jax.jit(jax.vmap(schedule))(np.asarray(steps)))


def test_rex():
    # Chen et al. 2021, recorded from another package in float64
    expected = [
        1.0, 0.9473684210526316, 0.888888888888889, 0.8235294117647058, 0.75,
        0.6666666666666666, 0.5714285714285715, 0.46153846153846156,
        0.33333333333333326, 0.18181818181818177, 0.0, 0.0,
    ]  # fmt: skip
    np.testing.assert_allclose(values(S.rex(1.0, 10))[:12], expected, atol=1e-15)
    # With a warmup, and an end that is not 0.
    schedule = S.rex(2.0, 14, warmup_steps=4, initial_value=0.4, end_value=0.5)
    t = np.minimum(STEPS, 14)
    p = (t - 4) / 10
    decayed = 0.5 + 1.5 * (1 - p) / (0.5 + 0.5 * (1 - p))
    warm = 0.4 + 1.6 * t / 4
    np.testing.assert_allclose(
        values(schedule), np.where(t < 4, warm, decayed), rtol=1e-14
    )


def test_inverse_decay():
    found = values(S.inverse_decay(1.0, 9, 0.1))
    # levanter's "inv" from its second update on
    np.testing.assert_allclose(found[[1, 3, 9, 20]], [0.5, 0.25, 0.1, 0.1], rtol=1e-15)
    assert found[0] == 1.0
    t = np.minimum(STEPS, 9)
    np.testing.assert_allclose(found, 1 / ((1 / 0.1 - 1) * t / 9 + 1), rtol=1e-14)


def test_power():
    schedule = S.power(0.02, 4.6, -0.51, per_step=4096, warmup_steps=5)
    seen = 4096.0 * np.maximum(STEPS, 1)
    expected = np.minimum(0.02, 4.6 * seen**-0.51)
    expected = np.where(STEPS < 5, 0.02 * STEPS / 5, expected)
    np.testing.assert_allclose(values(schedule), expected, rtol=1e-13)
    assert values(schedule)[0] == 0
    without = values(S.power(0.5, 1.0, -0.5))
    np.testing.assert_allclose(without[:2], [0.5, 0.5])
    np.testing.assert_allclose(without[9], 1 / 3)
    rising = values(S.power(2.0, 0.1, 1.0))
    np.testing.assert_allclose(rising[10:13], [1.0, 1.1, 1.2])


def test_a_schedule_repeated():
    inner = S.warmup_stable_decay(1.0, 2, 3, 4)
    found = values(S.repeated(inner, 9, gamma=0.5))
    one = values(inner)[:9]
    np.testing.assert_allclose(found[:27], np.concatenate([one, one / 2, one / 4]))
    np.testing.assert_array_equal(
        values(S.repeated(lambda t: t.astype(float), 4))[:9],
        [0, 1, 2, 3, 0, 1, 2, 3, 0],
    )


CURVES = {
    "linear": lambda p: p,
    "cosine": lambda p: (1 - np.cos(np.pi * p)) / 2,
    "sqrt": np.sqrt,
    "square": lambda p: p**2,
}


@pytest.mark.parametrize("curve", CURVES)
def test_cooldowns(curve):
    endless = S.inverse_square_root(1.0, 4, 4)
    found = values(S.cooldown(endless, 15, 5, 0.1, curve))
    before = values(endless)
    p = np.clip((STEPS - 15) / 5, 0, 1)
    cooled = 0.1 + (before[15] - 0.1) * (1 - CURVES[curve](p))
    np.testing.assert_allclose(found, np.where(STEPS < 15, before, cooled), rtol=1e-13)
    # The same curves end a trapezoid.
    whole = values(S.warmup_stable_decay(1.0, 2, 4, 4, decay=curve))
    p = np.clip((STEPS - 6) / 4, 0, 1)
    np.testing.assert_allclose(whole[2:], 1 - CURVES[curve](p)[2:], atol=1e-15)


def test_a_recorded_cooldown():
    endless = S.inverse_square_root(1.0, 4, 4)
    found = values(S.cooldown(endless, 15, 5), [0, 2, 4, 8, 15, 16, 18, 20])
    expected = [
        0, 0.5, 1, 0.7071067811865476, 0.5163977794943222, 0.41311822359545775,
        0.20655911179772887, 0,
    ]  # fmt: skip
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_sgdr_beside_optax():
    cycles = [
        {"init_value": 0.1, "peak_value": peak, "warmup_steps": w, "decay_steps": n,
         "end_value": 0.05}
        for peak, w, n in ((1.0, 1, 4), (0.5, 2, 6), (0.25, 0, 9))
    ]  # fmt: skip
    ours = S.sgdr([1.0, 0.5, 0.25], [4, 6, 9], [1, 2, 0], 0.1, 0.05)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        theirs = [float(optax.sgdr_schedule(cycles)(int(t))) for t in STEPS]
    np.testing.assert_allclose(values(ours), theirs, rtol=1e-12)
    found = values(
        S.sgdr([1.0, 0.5], [4, 6], [1, 2]), [0, 1, 2, 3, 5, 8, 9, 10, 12, 20]
    )
    recorded = [0, 1, 0.75, 0.25, 0.25, 0.25, 0.07322330470336313, 0, 0, 0]
    np.testing.assert_allclose(found, recorded, atol=1e-15)


@pytest.mark.parametrize("steps", [10, 7, 23])
def test_one_cycle_by_optaxs_timing(steps):
    pairs = [
        (
            optax.cosine_onecycle_schedule(steps, 2.0),
            S.one_cycle(2.0, steps, timing="optax"),
        ),
        (
            optax.cosine_onecycle_schedule(steps, 2.0, 0.45, 10.0, 100.0),
            S.one_cycle(
                2.0, steps, pct_start=0.45, div_factor=10.0, final_div_factor=100.0,
                timing="optax",
            ),
        ),
        (
            optax.linear_onecycle_schedule(steps, 2.0),
            S.one_cycle(
                2.0, steps, anneal_strategy="linear", three_phase=True, timing="optax"
            ),
        ),
        (
            optax.linear_onecycle_schedule(steps, 2.0, 0.4, 0.7, 10.0, 100.0),
            S.one_cycle(
                2.0, steps, pct_start=0.4, anneal_strategy="linear", div_factor=10.0,
                final_div_factor=100.0, three_phase=True, timing="optax", pct_final=0.7,
            ),
        ),
    ]  # fmt: skip
    for theirs, ours in pairs:
        with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
            expected = [float(theirs(int(t))) for t in STEPS]
        np.testing.assert_allclose(values(ours), expected, rtol=1e-12)
        # In float32 the phases end at the same steps.
        narrow = jax.jit(jax.vmap(ours))(STEPS)
        np.testing.assert_allclose(narrow, expected, rtol=2e-5)


def test_recorded_one_cycles():
    counts = [0, 1, 2, 3, 5, 8, 9, 10, 12, 20]
    found = values(S.one_cycle(1.0, 10, timing="optax"), counts)
    expected = [
        0.04, 0.28, 0.76, 1.0, 0.8117456539497631, 0.18825834605023697,
        0.049519367986526286, 4e-06, 4e-06, 4e-06,
    ]  # fmt: skip
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    linear = S.one_cycle(
        1.0, 10, anneal_strategy="linear", three_phase=True, timing="optax"
    )
    expected = [0.04, 0.36, 0.68, 1, 0.616, 0.04, 0.020002, 4e-06, 4e-06, 4e-06]
    np.testing.assert_allclose(values(linear, counts), expected, rtol=1e-12)
    # The momentum is lowest where the rate is highest.
    momentum = values(S.one_cycle_momentum(0.8, 0.9, 10, timing="optax"))
    assert momentum.argmin() == 3
    np.testing.assert_allclose(momentum[[0, 3, 10, 20]], [0.9, 0.8, 0.9, 0.9])


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: S.rex(1.0, 5, 5), ValueError, "total_steps must be at least 6"),
        (lambda: S.rex(1.0, 5.0), TypeError, "total_steps must be an integer"),
        (lambda: S.inverse_decay(1.0, 5, 0.0), ValueError, "end_value must be above 0"),
        (lambda: S.inverse_decay(1.0, 5, 2.0), ValueError, "end_value .* at most 1.0"),
        (lambda: S.inverse_decay(1.0, 0, 0.1), ValueError, "total_steps must be"),
        (lambda: S.power(1.0, 0.0), ValueError, "amplitude must be above 0"),
        (lambda: S.power(1.0, 1.0, per_step=0), ValueError, "per_step must be above"),
        (lambda: S.repeated(0.1, 5), TypeError, "schedule must be a schedule"),
        (lambda: S.repeated(S.constant(1.0), 0), ValueError, "period must be at least"),
        (lambda: S.cooldown(1.0, 1, 1), TypeError, "schedule must be a schedule"),
        (
            lambda: S.cooldown(S.constant(1.0), 1, 1, curve="fast"),
            ValueError,
            "curve must be one of",
        ),
        (lambda: S.sgdr([1.0], [4, 5]), ValueError, "the same length, at least 1"),
        (lambda: S.sgdr([], []), ValueError, "the same length, at least 1"),
        (lambda: S.sgdr([1.0], [4], 4), ValueError, "total_steps must be at least 5"),
        (lambda: S.one_cycle(1.0, 9, timing="jax"), ValueError, "timing must be one"),
        (
            lambda: S.one_cycle(1.0, 9, timing="optax", pct_final=0.9),
            ValueError,
            "pct_final is only for three_phase=True with timing='optax'",
        ),
        (
            lambda: S.one_cycle(
                1.0, 9, three_phase=True, timing="optax", pct_final=0.2
            ),
            ValueError,
            "pct_final must be at least 0.3",
        ),
    ],
)
def test_errors(build, error, message):
    with pytest.raises(error, match=message):
        build()
