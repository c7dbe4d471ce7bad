"""A schedule is a value: an argument of jit, mapped and differentiated; its errors."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of
import optifunc.schedules as ours


def _half(step):
    return 0.5


# Each with numbers in all places, twice: the structure of both must be the same.
PAIRS = {
    "from_to": (lambda x, n: ours.from_to(x, 2 * x, n, "power", 1 + x)),
    "constant": (lambda x, n: ours.constant(x, 0.5 * x, n)),
    "linear": (lambda x, n: ours.linear(x, 0.5 * x, x, n)),
    "exponential": (lambda x, n: ours.exponential(x, x)),
    "step": (lambda x, n: ours.step(x, n, x)),
    "multi_step": (lambda x, n: ours.multi_step(x, (n, 2 * n), x)),
    "multiplicative": (lambda x, n: ours.multiplicative(x, _half)),
    "lambda_": (lambda x, n: ours.lambda_(x, _half)),
    "polynomial": (lambda x, n: ours.polynomial(x, n, x)),
    "cosine_annealing": (lambda x, n: ours.cosine_annealing(x, n, 0.1 * x)),
    "cosine_annealing_warm_restarts": (
        lambda x, n: ours.cosine_annealing_warm_restarts(x, n, n, 0.1 * x)
    ),
    "cyclic": (lambda x, n: ours.cyclic(x, 2 * x, n, n + 1, "exp_range", x)),
    "one_cycle": (lambda x, n: ours.one_cycle(x, 10 * n, pct_start=x)),
    "one_cycle_momentum": (lambda x, n: ours.one_cycle_momentum(x, 2 * x, 10 * n)),
    "sequential": (
        lambda x, n: ours.sequential([ours.linear(x), ours.step(x, n)], [n])
    ),
    "chained": (lambda x, n: ours.chained([ours.linear(x), ours.step(x, n)])),
    "warmup_cosine": (lambda x, n: ours.warmup_cosine(x, n, 9 * n, 0.1 * x, 0.1 * x)),
    "warmup_linear": (lambda x, n: ours.warmup_linear(x, n, 9 * n, 0.1 * x, 0.1 * x)),
    "warmup_stable_decay": (lambda x, n: ours.warmup_stable_decay(x, n, n, n, 0.1 * x)),
    "inverse_square_root": (lambda x, n: ours.inverse_square_root(x, n, 10 * x)),
    "rex": (lambda x, n: ours.rex(x, 9 * n, n, 0.1 * x, 0.2 * x)),
    "inverse_decay": (lambda x, n: ours.inverse_decay(x, 9 * n, 0.1 * x)),
    "power": (lambda x, n: ours.power(x, 0.6 * x, -x, 1 + x, n, 0.1 * x)),
    "repeated": (lambda x, n: ours.repeated(ours.linear(x), 2 * n, x)),
    "cooldown": (lambda x, n: ours.cooldown(ours.linear(x), n, n, 0.1 * x)),
    "sgdr": (lambda x, n: ours.sgdr((x, 0.5 * x), (3, 4), (1, 2), 0.1 * x)),
    "piecewise_constant": (lambda x, n: ours.piecewise_constant(x, (n,), (x,))),
    "piecewise_interpolated": (
        lambda x, n: ours.piecewise_interpolated(x, (n, 3 * n), (x, 0.5))
    ),
}
ALL = pytest.mark.parametrize("name", PAIRS)


def test_every_schedule_is_in_the_table():
    no_formula = {"Schedule", "MultiplicativeSchedule", "schedule", "from_function"}
    no_formula |= {"plot"}
    # Decays of averages are tested with those.
    no_formula |= {"ema_decay_warmup", "ema_half_life"}
    no_formula |= {"power_ema_decay", "polynomial_ema_decay"}
    public = {name for name in vars(ours) if not name.startswith("_")}
    assert public - no_formula == set(PAIRS)


@ALL
def test_is_a_value(name):
    """Other numbers do not trigger recompilation, and every kind of step gives the
    same."""
    compilations = 0

    @jax.jit
    def value(schedule, step):
        nonlocal compilations
        compilations += 1
        return schedule(step)

    for x, n in ((0.25, 2), (0.75, 3)):
        schedule = PAIRS[name](x, n)
        found = value(schedule, jnp.int32(5))
        assert found.shape == ()
        assert found.dtype == jnp.float32
        for step in (5, np.int64(5), jnp.uint32(5)):
            # Compiled, a division may become a multiplication (an ulp or two).
            np.testing.assert_allclose(schedule(step), found, rtol=1e-6)
    assert compilations == 1


@ALL
def test_slope_in_its_numbers(name):
    """Differentiable in all its floats, without NaN from a phase not in force."""

    def total(x):
        return sum(PAIRS[name](x, 2)(step) for step in (0, 1, 2, 4, 6, 20))

    with jax.enable_x64(True):
        slope = jax.grad(total)(0.3)
        # Central differences of a smooth function: the error is of order 1e-10.
        expected = (total(0.3 + 1e-5) - total(0.3 - 1e-5)) / 2e-5
    np.testing.assert_allclose(slope, expected, rtol=1e-7, atol=1e-7)


def test_mapped():
    """A sweep over bases and lengths in one program."""
    bases, lengths = jnp.array([0.1, 0.2, 0.4]), jnp.array([10, 20, 30])
    mapped = jax.vmap(lambda b, n: ours.cosine_annealing(b, n)(5))(bases, lengths)
    single = [
        ours.cosine_annealing(float(b), int(n))(5)
        for b, n in zip(bases, lengths, strict=True)
    ]
    np.testing.assert_allclose(mapped, jnp.stack(single), rtol=1e-6)


def test_as_learning_rate():
    """In a chain, in optax, and as a jit argument inside a transformation."""
    schedule = ours.warmup_cosine(0.1, 3, 10)
    tx = of.chain(of.scale_by_learning_rate(schedule))
    theirs = optax.scale_by_learning_rate(schedule)
    grads = jnp.ones(2)
    state, their_state = tx.init(grads), theirs.init(grads)
    for step in range(12):
        assert of.current_hyperparameters(tx, state)["lr"] == schedule(step)
        updates, state = jax.jit(lambda tx, s: tx.update(grads, s))(tx, state)
        np.testing.assert_allclose(updates, -schedule(step) * grads, rtol=1e-6)
        their_updates, their_state = theirs.update(grads, their_state)
        np.testing.assert_allclose(updates, their_updates, rtol=1e-6)


def test_one_cycle_of_learning_rate_and_momentum():
    tx = of.sgd(ours.one_cycle(0.1, 10), momentum=ours.one_cycle_momentum(0.8, 0.9, 10))
    values = of.current_hyperparameters(tx, tx.init(jnp.ones(1)))
    np.testing.assert_allclose(values["lr"], 0.1 / 25, rtol=1e-6)
    np.testing.assert_allclose(values["momentum"], 0.9, rtol=1e-6)


def test_functions_join():
    """A plain function of the step is a schedule too."""
    joined = ours.sequential([lambda step: 0.5, ours.constant(1.0, 1.0)], [2])
    assert [float(joined(step)) for step in (0, 1, 2)] == [0.5, 0.5, 1.0]


def test_multiplicative_in_reverse_mode():
    slope = jax.grad(lambda base: ours.multiplicative(base, _half)(3))(2.0)
    assert slope == 0.125


BAD = [
    (lambda: ours.constant("x"), TypeError, "base must be a number"),
    (lambda: ours.constant(float("nan")), ValueError, "base .*found nan"),
    (lambda: ours.constant(_half), TypeError, "base must be a number or an array"),
    (lambda: ours.constant(1.0, 2.0), ValueError, "factor .*at most 1, found 2.0"),
    (lambda: ours.constant(1.0, 0.5, -1), ValueError, "total_iters .*at least 0"),
    (lambda: ours.constant(1.0, 0.5, 2.0), TypeError, "total_iters .*integer"),
    (
        lambda: ours.constant(1.0, 0.5, jnp.ones(())),
        TypeError,
        "total_iters must be an integer, found an array of float32",
    ),
    (lambda: ours.linear(1.0, 0.0), ValueError, "start_factor .*above 0"),
    (lambda: ours.linear(1.0, 1.0, 1.5), ValueError, "end_factor .*at most 1"),
    (lambda: ours.exponential(1.0, -0.5), ValueError, "gamma .*found -0.5"),
    (lambda: ours.step(1.0, 0), ValueError, "step_size .*at least 1, found 0"),
    (lambda: ours.multi_step(1.0, 5), TypeError, "milestones must be a sequence"),
    (lambda: ours.multi_step(1.0, [5, -1]), ValueError, r"milestones\[1\] .*-1"),
    (lambda: ours.multiplicative(1.0, 0.5), TypeError, "lr_lambda .*found 0.5"),
    (lambda: ours.lambda_(1.0, 0.5), TypeError, "lr_lambda .*found 0.5"),
    (lambda: ours.polynomial(1.0, 5, -1.0), ValueError, "power .*at least 0"),
    (lambda: ours.cosine_annealing(1.0, 0), ValueError, "T_max .*at least 1"),
    (
        lambda: ours.cosine_annealing_warm_restarts(1.0, 0),
        ValueError,
        "T_0 .*at least 1",
    ),
    (
        lambda: ours.cosine_annealing_warm_restarts(1.0, 5, 0),
        ValueError,
        "T_mult .*at least 1",
    ),
    (lambda: ours.cyclic(0.1, 1.0, mode="square"), ValueError, "mode .*'square'"),
    (lambda: ours.cyclic(0.1, 1.0, scale_mode="x"), ValueError, "scale_mode .*'x'"),
    (lambda: ours.cyclic(0.1, 1.0, scale_fn=1), TypeError, "scale_fn .*found 1"),
    (lambda: ours.cyclic(0.1, 1.0, 5, -1), ValueError, "step_size_down .*found -1"),
    (lambda: ours.one_cycle(0.1), ValueError, "total_steps=None and epochs=None"),
    (lambda: ours.one_cycle(0.1, epochs=3), ValueError, "steps_per_epoch=None"),
    (lambda: ours.one_cycle(0.1, 0), ValueError, "total_steps .*at least 1"),
    (lambda: ours.one_cycle(0.1, 9, pct_start=2.0), ValueError, "pct_start .*2.0"),
    (
        lambda: ours.one_cycle(0.1, 9, anneal_strategy="x"),
        ValueError,
        "anneal_strategy .*'x'",
    ),
    (lambda: ours.one_cycle(0.1, 9, div_factor=0.0), ValueError, "div_factor .*above"),
    (lambda: ours.sequential([], []), ValueError, "at least one schedule"),
    (lambda: ours.sequential([0.1], []), TypeError, r"schedules\[0\] .*found 0.1"),
    (
        lambda: ours.sequential([ours.linear(1.0)], [1]),
        ValueError,
        "one fewer than schedules, found 1 and 1",
    ),
    (
        lambda: ours.sequential([ours.linear(1.0)] * 3, [5, 1]),
        ValueError,
        "milestones must be in increasing order",
    ),
    (
        lambda: ours.chained([ours.cosine_annealing(1.0, 5, 0.1)]),
        ValueError,
        r"schedules\[0\] .*eta_min=0.1",
    ),
    (
        lambda: ours.chained([ours.linear(1.0), ours.lambda_(1.0, _half)]),
        ValueError,
        r"schedules\[1\] must be a multiple of its base",
    ),
    (
        lambda: ours.chained([ours.linear(1.0), ours.linear(2.0)]),
        ValueError,
        r"same base, found \[1.0, 2.0\]",
    ),
    (lambda: ours.warmup_cosine(1.0, 5, 5), ValueError, "total_steps .*at least 6"),
    (lambda: ours.warmup_cosine(1.0, 5, 9, exponent=0), ValueError, "exponent .*above"),
    (lambda: ours.warmup_linear(1.0, -1, 5), ValueError, "warmup_steps .*at least 0"),
    (
        lambda: ours.warmup_stable_decay(1.0, 1, 1, 1, decay="x"),
        ValueError,
        "decay .*'x'",
    ),
    (lambda: ours.inverse_square_root(1.0, 0), ValueError, "timescale must be given"),
    (
        lambda: ours.piecewise_constant(1.0, (5,), (0.1, 0.2)),
        ValueError,
        "the same length, found 1 and 2",
    ),
    (
        lambda: ours.piecewise_constant(1.0, (5,), (-0.1,)),
        ValueError,
        r"scales\[0\] .*-0.1",
    ),
    (
        lambda: ours.piecewise_interpolated(1.0, (5, 5), (1, 1)),
        ValueError,
        "boundaries must differ",
    ),
]


@pytest.mark.cheap
@pytest.mark.parametrize(("build", "error", "message"), BAD)
def test_bad_argument(build, error, message):
    with pytest.raises(error, match=message):
        build()
