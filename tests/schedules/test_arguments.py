"""What every schedule refuses: steps, numbers, counts and flags out of place."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc.schedules as ours

from .test_schedule import ALL, PAIRS


class Boxed:
    """An array in a library's box, as JAX's functions take it."""

    def __init__(self, value):
        self.value = value

    def __jax_array__(self):
        return self.value


WHOLE = [3, 3.0, np.int64(3), np.uint8(3), np.float32(3), np.array(3), jnp.int16(3)]
WHOLE += [jnp.float32(3), jnp.bfloat16(3), np.array(3.0), Boxed(jnp.int32(3))]


@ALL
def test_a_whole_float_is_a_step(name):
    schedule = PAIRS[name](0.5, 2)
    expected = schedule(3)
    for step in WHOLE:
        assert schedule(step) == expected, step
    np.testing.assert_array_equal(
        jax.vmap(schedule)(jnp.array([1.0, 3.0])), jax.vmap(schedule)(jnp.array([1, 3]))
    )
    # Compiled, a division may become a multiplication (an ulp or two).
    np.testing.assert_allclose(jax.jit(schedule)(3.0), expected, rtol=1e-6)


NOT_A_STEP = [
    (-1, ValueError, "step must be at least 0, found -1"),
    (np.int32(-2), ValueError, "step must be at least 0, found .*-2"),
    (jnp.int32(-2), ValueError, "step must be at least 0, found .*-2"),
    (-3.0, ValueError, "step must be at least 0, found -3.0"),
    (2**31, ValueError, "step must be at most 2147483647, found 2147483648"),
    (np.int64(2**40), ValueError, "step must be at most 2147483647"),
    (1e30, ValueError, r"step must be at most 2147483647, found 1e\+30"),
    (1.5, TypeError, "step must be an integer, found 1.5"),
    (jnp.float32(0.5), TypeError, "step must be an integer, found .*0.5"),
    (math.nan, TypeError, "step must be an integer, found nan"),
    (math.inf, TypeError, "step must be an integer, found inf"),
    (jnp.float32(math.nan), TypeError, "step must be an integer, found .*nan"),
    (True, TypeError, "step must be an integer, found True"),
    (np.True_, TypeError, "step must be an integer, found an array of bool"),
    (jnp.array(True), TypeError, "step must be an integer, found an array of bool"),
    (3j, TypeError, "step must be an integer, found 3j"),
    (jnp.complex64(3), TypeError, "step must be an integer, .* complex64"),
    ("3", TypeError, "step must be an integer, found '3'"),
    (None, TypeError, "step must be an integer, found None"),
    ([3], TypeError, r"step must be an integer, found \[3\]"),
    (ours.constant(1.0), TypeError, "step must be an integer, found constant"),
    (np.arange(3), ValueError, r"step must be a scalar, .*shape \(3,\).*jax.vmap"),
]


@pytest.mark.cheap
@pytest.mark.parametrize(
    ("step", "error", "message"), NOT_A_STEP, ids=[repr(s[0]) for s in NOT_A_STEP]
)
@pytest.mark.parametrize("name", ["from_to", "chained", "sequential", "lambda_"])
def test_not_a_step(name, step, error, message):
    with pytest.raises(error, match=message):
        PAIRS[name](0.5, 2)(step)


@pytest.mark.torch
def test_a_tensor_is_not_a_step():
    torch = pytest.importorskip("torch", reason="needs torch (extra `parity`)")
    with pytest.raises(TypeError, match=r"step must be an integer, found tensor\(3\)"):
        ours.constant(1.0)(torch.tensor(3))


@ALL
def test_every_schedule_refuses_a_negative_step(name):
    with pytest.raises(ValueError, match="step must be at least 0, found -1"):
        PAIRS[name](0.5, 2)(-1)


def test_a_function_receives_an_integer():
    received = []
    schedule = ours.from_function(lambda step: received.append(step) or 0.5)
    assert schedule(3.0) == 0.5
    assert received[0].dtype == jnp.int32
    with pytest.raises(ValueError, match="step must be at least 0"):
        schedule(-1)
    with pytest.raises(TypeError, match="function must be a function of the step"):
        ours.from_function(0.5)


def test_traced_steps_are_checked_for_their_dtype():
    with pytest.raises(TypeError, match="step must be an integer, found"):
        jax.jit(ours.from_to(0.0, 1.0, 5))(True)
    with pytest.raises(ValueError, match="step must be a scalar"):
        jax.jit(ours.from_to(0.0, 1.0, 5))(jnp.arange(2))


NUMBERS = {
    (name, field.name)
    for name, build in PAIRS.items()
    for field in dataclasses.fields(build(0.5, 2))
    if not field.metadata.get("static")
    and field.name
    not in ("schedule", "schedules", "milestones", "boundaries", "scales")
}


@pytest.mark.cheap
@pytest.mark.parametrize(("name", "field"), sorted(NUMBERS))
def test_a_schedule_is_not_a_number(name, field):
    """Nor a string, nor a list of numbers."""
    schedule = PAIRS[name](0.5, 2)
    for wrong in (ours.constant(1.0), "0.5", [0.5]):
        arguments = {
            f.name: getattr(schedule, f.name) for f in dataclasses.fields(schedule)
        }
        arguments[field] = wrong
        if field in ("epochs", "steps_per_epoch"):  # otherwise not used
            arguments |= {"total_steps": None, "epochs": 3, "steps_per_epoch": 3}
            arguments[field] = wrong
        with pytest.raises(TypeError, match=rf"^{field} must be"):
            type(schedule)(**arguments)


@pytest.mark.parametrize("flag", [1, 0, None, "yes", np.True_, 0.0])
@pytest.mark.parametrize("build", [ours.one_cycle, ours.one_cycle_momentum])
def test_a_flag_is_a_bool(build, flag):
    with pytest.raises(TypeError, match="three_phase must be True or False, found"):
        build(0.5, total_steps=9, three_phase=flag)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda n: ours.cosine_annealing(1.0, n), "T_max must be at least 1, found 0"),
        (lambda n: ours.step(1.0, n), "step_size must be at least 1, found 0"),
        (lambda n: ours.one_cycle(1.0, n), "total_steps must be at least 1, found 0"),
        (lambda n: ours.linear(1.0, total_iters=n - 1), "total_iters .*found -1"),
        (
            lambda n: ours.cosine_annealing(1.0, jnp.stack([n + 1, n])),
            r"T_max must be at least 1, found \[1, 0\]",
        ),
    ],
)
def test_counts_are_checked_as_arrays_too(build, message):
    with pytest.raises(ValueError, match=message):
        build(jnp.int32(0))
    jax.eval_shape(lambda n: jax.tree.leaves(build(n)), jnp.int32(0))


def test_boundaries_are_checked_as_arrays_too():
    with pytest.raises(ValueError, match="boundaries must be in increasing order"):
        ours.piecewise_constant(1.0, jnp.array([5, 3]), jnp.ones(2))
    with pytest.raises(ValueError, match="milestones must be at least 0"):
        ours.multi_step(1.0, np.array([3, -3]))
