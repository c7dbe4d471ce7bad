"""`from_to`: against optax and formulas in float64, its ends, its errors."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of
import optifunc.schedules as ours

STEPS = np.arange(61, dtype=np.int32)


@jax.jit
def values(schedule):
    return jax.vmap(schedule)(STEPS)


def of_optax(schedule):
    with jax.numpy_dtype_promotion("standard"), jax.enable_x64(True):
        return np.array([schedule(int(step)) for step in STEPS])


def progress(steps):
    return np.minimum(STEPS / steps, 1)


# (arguments, expected): optax where it has the curve, otherwise the formula.
CASES = {
    "linear": (
        (0.5, 1.0, 10),
        lambda: of_optax(optax.linear_schedule(0.5, 1.0, 10)),
    ),
    "linear from 0": (
        (0.0, 1e-3, 50),
        lambda: of_optax(optax.linear_schedule(0.0, 1e-3, 50)),
    ),
    "linear to 0, in one step": (
        (-2.0, 0.0, 1),
        lambda: of_optax(optax.linear_schedule(-2.0, 0.0, 1)),
    ),
    "cosine": (
        (2.0, 0.5, 40, "cosine"),
        lambda: of_optax(optax.cosine_decay_schedule(2.0, 40, alpha=0.25)),
    ),
    "cosine from 0": (
        (0.0, 3.0, 40, "cosine"),
        lambda: 3.0 * (1 - np.cos(np.pi * progress(40))) / 2,
    ),
    "exponential": (
        (1e-6, 1.0, 40, "exponential"),
        lambda: of_optax(optax.exponential_decay(1e-6, 40, 1e6, end_value=1.0)),
    ),
    "exponential below 0": (
        (-8.0, -0.5, 30, "exponential"),
        lambda: -8.0 * 0.0625 ** progress(30),
    ),
    "power": (
        (1.0, 0.25, 50, "power", 2.5),
        lambda: of_optax(optax.polynomial_schedule(1.0, 0.25, 2.5, 50)),
    ),
    "power from 0": (
        (0.0, 0.25, 50, "power", 0.5),
        lambda: of_optax(optax.polynomial_schedule(0.0, 0.25, 0.5, 50)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_reference(name):
    arguments, reference = CASES[name]
    expected, schedule = reference(), ours.from_to(*arguments)
    with jax.enable_x64(True):
        wide = values(schedule)
    # The references subtract nearly equal numbers near the ends of a curve.
    np.testing.assert_allclose(wide, expected, rtol=1e-12, atol=1e-14)
    # Some ten roundings of float32 (6e-8 each); in "exponential" half the logarithm of
    # the ratio, 7 at most, multiplies that of the exponent.
    np.testing.assert_allclose(values(schedule), wide, rtol=2e-6)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("as_arrays", [False, True])
def test_is_exact_at_both_ends(name, as_arrays):
    (start, end, steps, *rest), _ = CASES[name]
    numbers = (start, end, steps)
    if as_arrays:
        numbers = (jnp.float32(start), jnp.float32(end), jnp.int32(steps))
    schedule = ours.from_to(*numbers, *rest)
    assert schedule(0) == np.float32(start)
    for step in (steps, steps + 1, 10 * steps, 2**31 - 1):
        assert schedule(step) == np.float32(end)
    for compiled in (values(schedule), jax.jit(schedule)(0)[None]):
        assert compiled[0] == np.float32(start)
    assert values(schedule)[-1] == np.float32(end)


@pytest.mark.parametrize("curve", ["linear", "cosine", "exponential", "power"])
def test_of_no_steps_is_the_end(curve):
    """A program whose configuration says 0 warmup steps means none."""
    power = 2.0 if curve == "power" else None
    schedule = ours.from_to(0.5, 1.0, 0, curve, power)
    np.testing.assert_array_equal(values(schedule), np.ones(61, np.float32))


def test_first_steps_of_a_long_curve_are_accurate():
    """In float32 ``1 - (1 - p)**2`` has lost four digits at step 1 of 10,000."""
    for step in (1, 3, 100):
        p = step / 10_000
        for curve, power, expected in (
            ("power", 2.0, 2 * p - p * p),
            ("cosine", None, np.sin(np.pi / 2 * p) ** 2),
        ):
            found = ours.from_to(0.0, 1.0, 10_000, curve, power)(step)
            # A few roundings of float32.
            np.testing.assert_allclose(found, expected, rtol=5e-7)


@pytest.mark.parametrize("curve", ["linear", "cosine", "exponential", "power"])
def test_slopes_in_all_numbers(curve):
    """At the ends too, where a power's slope is easily 0 times infinity."""

    def total(numbers):
        power = numbers[2] if curve == "power" else None
        schedule = ours.from_to(numbers[0], numbers[1], 4, curve, power)
        return sum(schedule(step) for step in (0, 1, 3, 4, 9))

    numbers = np.array([0.3, 1.7, 1.5])
    with jax.enable_x64(True):
        found = jax.grad(total)(jnp.array(numbers))
        # Central differences of a smooth function: the error is of order 1e-10.
        steps = 1e-5 * np.eye(3)
        expected = [
            (total(jnp.array(numbers + s)) - total(jnp.array(numbers - s))) / 2e-5
            for s in steps
        ]
    np.testing.assert_allclose(found, np.stack(expected), rtol=1e-7, atol=1e-7)


def test_warmup_of_a_training():
    tx = of.sgd(lr=ours.from_to(0.0, 0.5, steps=2))
    params = jnp.zeros(())
    state = tx.init(params)
    for expected in (0.0, -0.25, -0.75, -1.25):
        updates, state = tx.update(jnp.ones(()), state, params)
        params = params + updates
        assert params == expected


BAD = [
    ((0.5, 1.0, -1), ValueError, "steps must be at least 0, found -1"),
    ((0.5, 1.0, 2.5), TypeError, "steps must be an integer, found 2.5"),
    ((0.5, 1.0, jnp.int32(-1)), ValueError, "steps must be at least 0, found -1"),
    ((0.5, 1.0, 10, "square"), ValueError, "curve must be one of .*'square'"),
    ((float("nan"), 1.0, 10), ValueError, "start .*found nan"),
    ((0.5, "1", 10), TypeError, "end must be a number.*found '1'"),
    ((0.0, 1.0, 9, "exponential"), ValueError, "start must not be 0 .*found 0.0"),
    ((1.0, 0, 9, "exponential"), ValueError, "end must not be 0 .*found 0"),
    (
        (jnp.ones(()), jnp.zeros(()), 9, "exponential"),
        ValueError,
        "end must not be 0 with curve='exponential'",
    ),
    (
        (-1.0, 1.0, 9, "exponential"),
        ValueError,
        "start and end must have the same sign .*found -1.0 and 1.0",
    ),
    ((0.5, 1.0, 9, "power"), ValueError, "power must be given with curve='power'"),
    ((0.5, 1.0, 9, "power", 0), ValueError, "power must be above 0, found 0"),
    (
        (0.5, 1.0, 9, "linear", 2.0),
        ValueError,
        "power is only for curve='power', found power=2.0 with curve='linear'",
    ),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD)
def test_bad_argument(arguments, error, message):
    with pytest.raises(error, match=message):
        ours.from_to(*arguments)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ours.linear(0.5, 1.0, 10), r"end_factor .*found 10\..*from_to\(a, b"),
        (lambda: ours.linear(0.5, 1.0, total_iters=10), r"never changes.*from_to"),
        (lambda: ours.linear(0.5, 0.25, 0.25), r"found 0.25 for both.*from_to"),
        (lambda: ours.linear(0.1, 0.0), r"start_factor .*above 0 .*from_to"),
        (lambda: ours.linear(1.0, 5.0), r"start_factor .*found 5.0.*from_to"),
        (lambda: ours.constant(0.5, 10), r"factor .*found 10.*constant\(0.5\)"),
    ],
)
def test_values_and_counts_given_as_factors_are_told_what_to_write(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_plain_constant():
    np.testing.assert_array_equal(
        values(ours.constant(0.1)), np.full(61, 0.1, np.float32)
    )
    warmed = ours.sequential([ours.from_to(0.0, 0.5, 2), ours.constant(0.5)], [2])
    assert [float(warmed(step)) for step in (0, 1, 2, 9)] == [0.0, 0.25, 0.5, 0.5]
    # torch's defaults, once one of its arguments is given
    assert ours.constant(1.0, total_iters=3)(2) == np.float32(1 / 3)
    assert ours.constant(1.0, 0.5)(4) == 0.5
    assert ours.constant(1.0, 0.5)(5) == 1.0
