"""Schedules that torch does not have, against optax or a formula in NumPy's float64."""

from typing import Any

import jax
import numpy as np
import optax
import pytest

import optifunc.schedules as ours

STEPS = np.arange(121, dtype=np.int32)


@jax.jit
def values(schedule: ours.Schedule) -> jax.Array:
    return jax.vmap(schedule)(STEPS)


def of_optax(schedule: Any) -> np.ndarray:
    with jax.numpy_dtype_promotion("standard"), jax.enable_x64(True):
        return np.array([schedule(int(step)) for step in STEPS])


def warmed_up(
    value: np.ndarray, base: float, initial: float, warmup: int
) -> np.ndarray:
    rise = initial + (base - initial) * STEPS / max(warmup, 1)
    return np.where(warmup > STEPS, rise, value)


def progress(begin: int, end: int) -> np.ndarray:
    return np.clip((STEPS - begin) / (end - begin), 0, 1)


def warmup_linear(base, warmup, total, initial=0.0, end=0.0):
    value = base + (end - base) * progress(warmup, total)
    return warmed_up(value, base, initial, warmup)


def warmup_stable_decay(base, warmup, stable, decay, initial, end, curve):
    p = progress(warmup + stable, warmup + stable + decay)
    f = {"linear": p, "cosine": (1 - np.cos(np.pi * p)) / 2, "sqrt": np.sqrt(p)}[curve]
    return warmed_up(base + (end - base) * f, base, initial, warmup)


def inverse_square_root(base, warmup, timescale=None, initial=0.0):
    scale = timescale or warmup
    value = base * np.sqrt(scale / (scale + np.maximum(STEPS - warmup, 0)))
    return warmed_up(value, base, initial, warmup)


def optax_cosine(base, warmup, total, initial=0.0, end=0.0, exponent=1.0):
    return of_optax(
        optax.warmup_cosine_decay_schedule(initial, base, warmup, total, end, exponent)
    )


def optax_constant(base, boundaries, scales):
    pieces = dict(zip(boundaries, scales, strict=True))
    return of_optax(optax.piecewise_constant_schedule(base, pieces))


def optax_interpolated(base, boundaries, scales, kind="linear"):
    pieces = dict(zip(boundaries, scales, strict=True))
    return of_optax(optax.piecewise_interpolate_schedule(kind, base, pieces))


CASES = [
    (ours.warmup_cosine, optax_cosine, (1e-3, 10, 100)),
    (ours.warmup_cosine, optax_cosine, (1e-3, 10, 100, 1e-4, 1e-5, 2.5)),
    (ours.warmup_cosine, optax_cosine, (1.0, 0, 121, 0.5, 0.25)),
    (ours.warmup_linear, warmup_linear, (1e-3, 10, 100)),
    (ours.warmup_linear, warmup_linear, (1e-3, 0, 50, 1.0, 1e-4)),
    *(
        (ours.warmup_stable_decay, warmup_stable_decay, (0.5, 8, s, 40, 0.125, e, c))
        for c in ("linear", "cosine", "sqrt")
        for s, e in ((60, 0.0), (0, 0.25))
    ),
    (ours.inverse_square_root, inverse_square_root, (1e-3, 16)),
    (ours.inverse_square_root, inverse_square_root, (1e-3, 0, 7.5)),
    (ours.inverse_square_root, inverse_square_root, (1e-3, 20, 100.0, 1e-4)),
    (ours.piecewise_constant, optax_constant, (0.5, (20, 60), (0.5, 0.125))),
    (ours.piecewise_constant, optax_constant, (0.5, (), ())),
    (ours.piecewise_constant, optax_constant, (0.5, (0, 3), (3.0, 0.0))),
    *(
        (
            ours.piecewise_interpolated,
            optax_interpolated,
            (0.5, boundaries, scales, kind),
        )
        for kind in ("linear", "cosine")
        for boundaries, scales in (
            ((20, 60), (4.0, 0.0625)),
            ((0, 7, 90), (0.5, 3.0, 0.0)),
        )
    ),
]


@pytest.mark.parametrize(
    ("build", "formula", "arguments"),
    CASES,
    ids=[f"{build.__name__}-{i}" for i, (build, _, _) in enumerate(CASES)],
)
def test_equals_reference(build, formula, arguments):
    expected = formula(*arguments)
    schedule = build(*arguments)
    with jax.enable_x64(True):
        wide = values(schedule)
    # optax and the formulas here subtract nearly equal numbers where a curve meets 0.
    np.testing.assert_allclose(wide, expected, rtol=1e-12, atol=1e-14)
    # 0.001 and the like are rounded to float32 (6e-8), then some ten operations are; a
    # power of 2.5 multiplies the error of what is raised to it.
    np.testing.assert_allclose(values(schedule), wide, rtol=2e-6, atol=0)


def test_pieces_as_arrays():
    """Boundaries and scales may be arrays, so that jax.vmap can map over them."""
    arrays = (np.array([20, 60]), np.array([0.5, 0.125], np.float32))
    for build in (ours.piecewise_constant, ours.piecewise_interpolated):
        np.testing.assert_array_equal(
            values(build(0.5, *arrays)), values(build(0.5, (20, 60), (0.5, 0.125)))
        )
    np.testing.assert_array_equal(
        values(ours.multi_step(0.5, arrays[0])), values(ours.multi_step(0.5, (60, 20)))
    )


def test_accuracy_at_the_foot_of_a_cosine():
    """In float32 ``(1 + cos)/2`` is off by its whole size 3 steps before the end."""
    length = 100_000
    expected = np.sin(np.pi / 2 * 3 / length) ** 2
    for schedule in (
        ours.cosine_annealing(1.0, length),
        ours.warmup_cosine(1.0, 0, length),
        ours.warmup_stable_decay(1.0, 0, 0, length, decay="cosine"),
        ours.cosine_annealing_warm_restarts(1.0, length),
    ):
        np.testing.assert_allclose(schedule(length - 3), expected, rtol=1e-6)


@pytest.mark.parametrize("T_mult", [1, 2, 3, 10])
def test_warm_restarts_far_out(T_mult):
    """The first and last step of a run, where a logarithm in float32 picks a wrong one.

    (With ``T_mult=1`` all runs are as long as the first.)
    """
    schedule = jax.jit(ours.cosine_annealing_warm_restarts(1.0, 10, T_mult))
    begin, length = 0, 10
    while begin + length < (10**5 if T_mult == 1 else 10**8):
        last = np.sin(np.pi / 2 / length) ** 2
        np.testing.assert_allclose(schedule(begin), 1.0, rtol=1e-6)
        np.testing.assert_allclose(schedule(begin + length - 1), last, rtol=1e-6)
        begin += length if T_mult > 1 else 999 * length
        length *= T_mult


def test_long_decay_of_a_number_near_one():
    """A Python number's logarithm is taken in float64, not after rounding."""
    found = ours.exponential(1.0, 0.9999)(100_000)
    # The exponent is 10: its rounding moves the value by 10 times 6e-8, some ulps more.
    np.testing.assert_allclose(found, 0.9999**100_000, rtol=2e-6)
