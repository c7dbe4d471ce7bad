"""Adafactor's options beyond torch's, against the installed optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

from .authors import assert_follows

pytestmark = pytest.mark.slow

STEPS = 20
SHAPES = {"matrix": (3, 4), "kernel": (4, 2, 3), "tall": (6, 2), "vector": (5,)}


def like_optax(lr, **options):
    """`optax.adafactor` with its defaults, where ``options`` say nothing else."""
    defaults = {
        "eps": (1e-30, 1e-3),
        "min_dim_size_to_factor": 128,
        "factored_axes": "largest",
        "relative_step": False,
        "add_eps": True,
        "scale_weight_decay": False,
    }
    return of.adafactor(lr, **{**defaults, **options})


def path(tx, apply_updates):
    """The parameters after each of some steps."""
    rng = np.random.default_rng(0)
    start = {k: jnp.asarray(rng.normal(size=shape)) for k, shape in SHAPES.items()}
    grads = {
        k: jnp.asarray(rng.normal(size=(STEPS, *shape)) * rng.uniform(0.1, 3, shape))
        for k, shape in SHAPES.items()
    }

    def step(carry, grads):
        params, state = carry
        updates, state = tx.update(grads, state, params)
        params = apply_updates(params, updates)
        return (params, state), params

    # optax promotes.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return jax.lax.scan(step, (start, tx.init(start)), grads)[1]


def falling(step):
    return 0.1 / (1.0 + 0.3 * jnp.asarray(step, float))


def test_the_recorded_run(x64):
    tx = like_optax(0.1, min_dim_size_to_factor=2, momentum=0.9, weight_decay=1e-3)
    # The reference's power of the step is of float32 numbers.
    assert_follows("adafactor_optax", tx, atol=2e-8)


def test_adalomo_is_a_case_of_it(x64):
    tx = of.adafactor(0.1, eps=(1e-30, 1e-3), relative_step=False, add_eps=True)
    assert_follows("adalomo", tx)


OPTIONS = {
    "defaults": ({}, {}),
    "min_dim_size_to_factor": ({"min_dim_size_to_factor": 3},) * 2,
    "factored": (
        {"min_dim_size_to_factor": 2, "factored": False},
        {"min_dim_size_to_factor": 2, "factored": False},
    ),
    "decay_rate": ({"beta2_decay": -0.5}, {"decay_rate": 0.5}),
    "decay_offset": ({"decay_offset": -7}, {"decay_offset": -7}),
    "multiply_by_parameter_scale": ({"multiply_by_parameter_scale": False},) * 2,
    "clipping_threshold": ({"d": 1.5}, {"clipping_threshold": 1.5}),
    "clipping_threshold=None": ({"d": None}, {"clipping_threshold": None}),
    "momentum": (
        {"momentum": 0.8},
        {"momentum": 0.8, "dtype_momentum": jnp.float64},
    ),
    "eps": ({"eps": (0.3, 1e-3)}, {"eps": 0.3}),
    "weight_decay": (
        {"weight_decay": 0.01, "momentum": 0.5},
        {"weight_decay_rate": 0.01, "momentum": 0.5, "dtype_momentum": jnp.float64},
    ),
    "mask": (
        {"weight_decay": 0.01, "mask": {name: name == "tall" for name in SHAPES}},
        {
            "weight_decay_rate": 0.01,
            "weight_decay_mask": {name: name == "tall" for name in SHAPES},
        },
    ),
    "learning_rate": ({"lr": falling}, {"learning_rate": falling}),
}


@pytest.fixture(scope="module")
def plain():
    with jax.enable_x64(True):
        return path(like_optax(0.1, min_dim_size_to_factor=2), of.apply_updates)


@pytest.mark.parametrize("name", OPTIONS)
def test_agrees_with_optax(name, plain, x64):
    ours, theirs = OPTIONS[name]
    factored = {"min_dim_size_to_factor": 2}
    found = path(like_optax(**{"lr": 0.1, **factored, **ours}), of.apply_updates)
    wanted = optax.adafactor(**{"learning_rate": 0.1, **factored, **theirs})
    expected = path(wanted, optax.apply_updates)
    # optax's power of the step is of float32 numbers; ours is not.
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, 0, 1e-6), found, expected
    )
    # The option does something.
    changed = [not np.allclose(plain[key], found[key], atol=1e-3) for key in found]
    assert any(changed) is (name != "defaults")


def test_the_defaults_are_optaxs_own(x64):
    """Where nothing is factored: no axis here has 128 numbers."""
    found = path(like_optax(0.1), of.apply_updates)
    expected = path(optax.adafactor(0.1), optax.apply_updates)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, 0, 1e-6), found, expected
    )
    wide = {"w": jnp.zeros((128, 200)), "narrow": jnp.zeros((127, 200))}
    state = of.find_in_state(like_optax(0.1).init(wide), of.StepByAdafactorState)
    assert state.row_var["w"].shape == (128, 1)
    assert state.variance["w"] is None
    assert state.variance["narrow"].shape == (127, 200)


def test_the_cap_and_the_offset_of_the_weights():
    """One number whose estimate is an average with these weights."""
    grads = jnp.arange(1.0, 21.0)

    def variances(**options):
        tx = of.step_by_adafactor(**options)
        param, state, found = jnp.ones(()), tx.init(jnp.ones(())), []
        for grad in grads:
            _, state = tx.update(grad, state, param)
            found.append(float(state.variance))
        return found

    def expected(weight):
        average, found = 0.0, []
        for t, grad in enumerate(grads, 1):
            average += weight(t) * (float(grad) ** 2 - average)
            found.append(average)
        return found

    # Averages of 20 terms in float32.
    for options, weight in (
        ({"beta2_cap": 0.7}, lambda t: max(t**-0.8, 0.3)),
        ({"decay_offset": 5}, lambda t: max(t - 5, 1) ** -0.8),
        ({"decay_offset": -5, "beta2_cap": 0.8}, lambda t: max((t + 5) ** -0.8, 0.2)),
    ):
        np.testing.assert_allclose(variances(**options), expected(weight), 1e-5)


def test_the_dtype_of_the_momentum():
    params = {"w": jnp.ones((2, 3), jnp.bfloat16)}
    for dtype, expected in ((None, "bfloat16"), ("float32", "float32")):
        tx = of.adafactor(momentum=0.9, momentum_dtype=dtype)
        state = tx.init(params)
        updates, state = jax.jit(tx.update)(params, state, params)
        assert of.find_in_state(state, "exp_avg")["w"].dtype == expected
        assert updates["w"].dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_dim_size_to_factor": -1}, "min_dim_size_to_factor must be at least 0"),
        ({"factored_axes": "first"}, "factored_axes must be one of .*, found 'first'"),
        ({"momentum": 1.0}, "momentum must be at least 0 and below 1, found 1.0"),
        ({"momentum_dtype": "int8"}, "momentum_dtype must be a float, found int8"),
        ({"beta2_cap": 1.0}, "beta2_cap must be at least 0 and below 1, found 1.0"),
        ({"decay_offset": float("nan")}, "decay_offset must be a number, found nan"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        of.adafactor(**options)


def test_a_state_with_and_without_momentum():
    params = {"w": jnp.ones((2, 3))}
    with_momentum, without = of.adafactor(momentum=0.9), of.adafactor()
    for tx, other in ((with_momentum, without), (without, with_momentum)):
        with pytest.raises(ValueError, match="was made by step_by_adafactor with"):
            tx.update(params, other.init(params), params)
    assert of.find_in_state(without.init(params), "exp_avg") is None
