"""Optimizers that find their step size: the authors' runs, and what they are for."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

import optifunc as of

from .authors import assert_follows


def estimate(state, params):
    return of.find_in_state(state, "d")


ESTIMATING = {
    "prodigy": of.prodigy,
    "prodigy_bias_wd": lambda: of.prodigy(
        weight_decay=0.01,
        use_bias_correction=True,
        safeguard_warmup=True,
        d0=1e-3,
        d_coef=2.0,
        growth_rate=2.0,
    ),
    "prodigy_optax": lambda: of.prodigy(use_bias_correction=True),
    "prodigy_optax_safeguard": lambda: of.prodigy(
        weight_decay=0.01,
        use_bias_correction=True,
        safeguard_warmup=True,
        d_coef=2.0,
    ),
    "dadapt_adam": lambda: of.dadapt_adam(d0=1e-3),
    "dadapt_adamw": lambda: of.dadapt_adam(decouple=True, use_bias_correction=True),
    "dadapt_sgd": lambda: of.dadapt_sgd(d0=1e-3),
    "dadapt_adagrad": lambda: of.dadapt_adagrad(d0=1e-3),
    "dadapt_lion": lambda: of.dadapt_lion(d0=1e-3),
    "dadapt_adan": lambda: of.dadapt_adan(d0=1e-3),
}


@pytest.mark.parametrize("name", ESTIMATING)
def test_the_authors_runs(name, x64):
    assert_follows(name, ESTIMATING[name](), read=estimate)


DISTANCES = {
    "dog": of.dog,
    "dog_distance": lambda: of.dog(init_distance=0.1),
    "dog_lr": lambda: of.dog(init_eta=0.1),
    "dowg": lambda: of.dowg(init_estim_sq_dist=0.01),
    "ldog": lambda: of.dog(reps_rel=0.01, layerwise=True),
    "cocob": of.cocob,
    "mechanize_sgd": lambda: of.mechanize(of.sgd(0.1), s_init=0.01),
}


@pytest.mark.parametrize("name", DISTANCES)
def test_the_runs_without_an_estimate(name, x64):
    assert_follows(name, DISTANCES[name]())


def test_layers_by_themselves(x64):
    """The records have one parameter: two, each with a run of its own."""
    tx = of.dog(reps_rel=0.01, layerwise=True, weight_decay=0.1)
    params = {"a": jnp.array([1.0, -2.0]), "b": jnp.array([[0.3], [5.0]])}

    def run(params):
        state = tx.init(params)
        for _ in range(20):
            updates, state = tx.update(params, state, params)
            params = of.apply_updates(params, updates)
        return params

    found = run(params)
    for key, value in params.items():
        np.testing.assert_allclose(found[key], run(value), rtol=1e-12)


OPTAX = {
    "prodigy": (
        lambda: of.prodigy(
            0.5, beta3=0.9, weight_decay=0.1, use_bias_correction=True, d0=1e-2
        ),
        lambda: contrib.prodigy(0.5, beta3=0.9, weight_decay=0.1, estim_lr0=1e-2),
    ),
    "dadapt_adamw": (
        lambda: of.dadapt_adam(
            0.5, weight_decay=0.1, decouple=True, use_bias_correction=True, d0=1e-2
        ),
        lambda: contrib.dadapt_adamw(0.5, weight_decay=0.1, estim_lr0=1e-2),
    ),
    "dog": (
        lambda: of.dog(0.5, init_distance=0.1, weight_decay=0.1),
        lambda: contrib.dog(0.5, ("distance", 0.1), weight_decay=0.1),
    ),
    "dowg": (
        lambda: of.dowg(0.5, weight_decay=0.1),
        lambda: contrib.dowg(0.5, weight_decay=0.1),
    ),
    "cocob": (
        lambda: of.cocob(0.5, 10.0, weight_decay=0.1),
        lambda: contrib.cocob(0.5, 10.0, weight_decay=0.1),
    ),
    "mechanize": (
        lambda: of.mechanize(of.adam(0.1), 0.1, s_init=0.1, num_betas=4),
        lambda: contrib.mechanize(
            optax.adam(0.1), weight_decay=0.1, s_init=0.1, num_betas=4
        ),
    ),
}


@pytest.mark.parametrize("name", OPTAX)
def test_optax_with_other_options(name, x64):
    """Two parameters of different shapes and 20 steps."""
    params = {"a": jnp.array([1.0, -2.0, 3.0]), "b": jnp.array([[0.5], [-4.0]])}

    def run(tx, apply_updates):
        tx, current = of.as_transformation(tx), params
        state = tx.init(current)
        for t in range(20):
            grads = jax.tree.map(lambda p, t=t: p + 3 * np.cos(2 * t), current)
            updates, state = tx.update(grads, state, current)
            current = apply_updates(current, updates)
        return current

    ours, theirs = OPTAX[name]
    found = run(ours(), of.apply_updates)
    # optax counts on promotion.
    with jax.numpy_dtype_promotion("standard"):
        expected = run(theirs(), optax.apply_updates)
    for key, start in params.items():
        assert not np.allclose(found[key], start, rtol=1e-2)
        np.testing.assert_allclose(found[key], expected[key], atol=1e-9)


def test_the_growth_of_dadaptation_is_bounded(x64):
    tx, params = of.dadapt_adam(d0=1e-3, growth_rate=1.1), jnp.array([1.0, -2.0])
    state, estimates = tx.init(params), [1e-3]
    for _ in range(20):
        updates, state = tx.update(params, state, params)
        params = of.apply_updates(params, updates)
        estimates.append(float(of.find_in_state(state, "d")))
    growth = np.array(estimates[1:]) / estimates[:-1]
    assert growth.max() == pytest.approx(1.1)
    assert growth.min() >= 1
    # It would have grown faster from the second step on.
    assert growth[0] == 1
    np.testing.assert_allclose(growth[1:6], 1.1)


def test_the_growth_of_prodigy_is_bounded_after_the_first(x64):
    """Against the rule in NumPy; in the recorded run with a bound nothing grows."""
    tx = of.prodigy(betas=(0.8, 0.9), d0=1e-3, d_coef=2.0, growth_rate=1.2)
    p0 = p = np.array([1.0, -2.0, 3.0])
    m = v = s = np.zeros(3)
    d = d_max = 1e-3
    numerator, growth = 0.0, []
    params = jnp.asarray(p)
    state = tx.init(params)
    for t in range(30):
        g = p + 0.3 * np.cos(t)
        numerator = np.sqrt(0.9) * numerator + d / 1e-3 * d * g @ (p0 - p)
        m = 0.8 * m + 0.2 * d * g
        v = 0.9 * v + 0.1 * (d * g) ** 2
        s = np.sqrt(0.9) * s + d / 1e-3 * d * g
        estimate = 2.0 * numerator / np.abs(s).sum()
        before = d
        if d == 1e-3:
            d = max(d, estimate)
        d_max = max(d_max, estimate)
        d = min(d_max, 1.2 * d)
        p = p - before * m / (np.sqrt(v) + 1e-8 * d)
        growth.append(d / before)
        updates, state = tx.update(params + 0.3 * np.cos(t), state, params)
        params = of.apply_updates(params, updates)
        np.testing.assert_allclose(params, p, atol=1e-12)
        np.testing.assert_allclose(of.find_in_state(state, "d"), d, rtol=1e-10)
    first = next(i for i, x in enumerate(growth) if x > 1)
    assert growth[first] > 1.2
    assert max(growth[first + 1 :]) == pytest.approx(1.2)


@pytest.mark.parametrize("factory", [of.prodigy, of.dadapt_adam])
def test_decay_that_is_a_penalty(factory, x64):
    """The same as a gradient that has it already."""
    params = jnp.array([1.0, -2.0])
    tx, plain = factory(weight_decay=0.1, decouple=False, d0=0.1), factory(d0=0.1)
    state, other_state, other = tx.init(params), plain.init(params), params
    for _ in range(10):
        updates, state = tx.update(params, state, params)
        params = of.apply_updates(params, updates)
        updates, other_state = plain.update(1.1 * other, other_state, other)
        other = of.apply_updates(other, updates)
    np.testing.assert_allclose(params, other, rtol=1e-12)


# --- float32 --------------------------------------------------------------------------

STEPS, SIZE = 5000, 16
LONG = {
    "adam": lambda: of.adam(0.01),
    "schedule_free_sgd": lambda: of.schedule_free_sgd(0.1),
    "schedule_free_adamw": lambda: of.schedule_free_adamw(
        0.01, weight_decay=0.1, warmup_steps=100, r=1.0
    ),
    "schedule_free_radam": lambda: of.schedule_free_radam(0.01),
    "lookahead": lambda: of.lookahead(of.adam(0.01)),
    "prodigy": of.prodigy,
    "prodigy_options": lambda: of.prodigy(
        use_bias_correction=True, growth_rate=1.02, weight_decay=0.01
    ),
    "gpa_adamw": lambda: of.gpa_adamw(0.01, weight_decay=0.1),
    "cocob": of.cocob,
    "mechanize": lambda: of.mechanize(of.sgd(0.1)),
    "dog": of.dog,
    "dog_layerwise": lambda: of.dog(layerwise=True, init_eta=1e-6),
    "dowg": lambda: of.dowg(init_estim_sq_dist=1e-12),
    "dadapt_adam": of.dadapt_adam,
    "dadapt_sgd": of.dadapt_sgd,
    "dadapt_adagrad": of.dadapt_adagrad,
    "dadapt_lion": of.dadapt_lion,
    "dadapt_adan": of.dadapt_adan,
    "dadapt_adam_decoupled": lambda: of.dadapt_adam(
        decouple=True, weight_decay=0.01, use_bias_correction=True
    ),
}


def long_run(tx, dtype):
    """What is to be evaluated after a run on a noisy quadratic, and the estimates."""
    rng = np.random.default_rng(0)
    curvature = np.logspace(-2, 0, SIZE).astype(np.float32)
    start, minimum = rng.normal(size=(2, SIZE)).astype(np.float32)
    noise = rng.normal(size=(STEPS, SIZE)).astype(np.float32)

    @jax.jit
    def run(curvature, start, minimum, noise):
        def step(carry, noise):
            params, state = carry
            grads = curvature * (params - minimum) + noise
            updates, state = tx.update(grads, state, params)
            return (of.apply_updates(params, updates), state), None

        carry = (start, tx.init(start))
        (params, state), _ = jax.lax.scan(step, carry, noise)
        return of.eval_params(tx, state, params), of.find_all_in_state(state, "d")

    arrays = (jnp.asarray(x, dtype) for x in (curvature, start, minimum, noise))
    return jax.tree.map(lambda x: np.asarray(x, np.float64), run(*arrays))


@pytest.mark.parametrize("name", LONG)
def test_float32_stays_with_float64(name):
    tx = LONG[name]()
    params, estimates = long_run(tx, "float32")
    with jax.enable_x64(True):
        exact, exact_estimates = long_run(tx, "float64")
    # Some hundred roundings of parameters near 1; SGD's noise is not divided by its
    # size, and 40 times as large as Adam's steps.
    np.testing.assert_allclose(params, exact, atol=5e-5)
    for key, value in exact_estimates.items():
        assert value > 0.1
        # 0.8 % without the compensation of Prodigy.
        np.testing.assert_allclose(estimates[key], value, rtol=1e-5)


# --- what it is for -------------------------------------------------------------------

EXAMPLES, FEATURES, CLASSES, BATCH, UPDATES = 512, 20, 5, 64, 400


def noisy_classes():
    """Features of very different scales; a fifth of the labels is arbitrary."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(CLASSES, FEATURES))
    labels = rng.integers(CLASSES, size=EXAMPLES)
    features = centers[labels] + 1.3 * rng.normal(size=(EXAMPLES, FEATURES))
    features *= np.logspace(-1, 0.5, FEATURES)
    is_arbitrary = rng.random(EXAMPLES) < 0.2
    labels = np.where(is_arbitrary, rng.integers(CLASSES, size=EXAMPLES), labels)
    return jnp.asarray(features, jnp.float32), jnp.asarray(labels)


def final_loss(tx, dtype="float32"):
    """Logistic regression in mini-batches; the loss of all examples at the end."""
    features, labels = noisy_classes()

    def loss(params, features, labels):
        params = jax.tree.map(lambda p: p.astype(jnp.float32), params)
        logits = features @ params["w"] + params["b"][None]
        return of.losses.cross_entropy(logits, labels)

    def step(carry, i):
        params, state = carry
        key = jax.random.fold_in(jax.random.key(0), i)
        batch = jax.random.choice(key, EXAMPLES, (BATCH,))
        grads = jax.grad(loss)(params, features[batch], labels[batch])
        updates, state = tx.update(grads, state, params)
        return (of.apply_updates(params, updates), state), None

    params = {"w": jnp.full((FEATURES, CLASSES), 0.1), "b": jnp.zeros(CLASSES)}
    params = jax.tree.map(lambda p: p.astype(dtype), params)
    carry = (params, tx.init(params))
    (params, state), _ = jax.lax.scan(step, carry, jnp.arange(UPDATES))
    return loss(of.eval_params(tx, state, params), features, labels)


def cosine(peak):
    return of.schedules.cosine_annealing(peak, UPDATES)


@pytest.fixture(scope="module")
def grid():
    """Adam's losses by the peak of a cosine, from 1e-3 to 3."""
    rates = np.logspace(-3, 0.5, 8)
    losses = jax.jit(jax.vmap(lambda lr: final_loss(of.adam(cosine(lr)))))(rates)
    return np.asarray(losses)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("factory", [of.prodigy, of.dadapt_adam, of.dadapt_lion])
def test_no_learning_rate_is_nearly_the_best_one(factory, dtype, grid):
    found = jax.jit(lambda: final_loss(factory(cosine(1.0)), dtype))()
    assert found < 1.1 * grid.min()
    # Not every learning rate would do.
    assert grid.max() > 1.2 * grid.min()


def test_no_learning_rate_of_sgd_is_nearly_the_best_one():
    """Of SGD's grid, in which the worst ones are half as good."""
    rates = np.logspace(-3, 0.5, 8)
    losses = jax.jit(jax.vmap(lambda lr: final_loss(of.sgd(cosine(lr)))))(rates)
    for factory in (of.dadapt_sgd, of.dadapt_adagrad):
        found = jax.jit(lambda factory=factory: final_loss(factory(1.0)))()
        assert found < 1.1 * losses.min()
    assert losses.max() > 1.5 * losses.min()


def test_no_schedule_is_nearly_the_best_one(grid):
    assert jax.jit(lambda: final_loss(of.schedule_free_adamw(0.1)))() < (
        1.05 * grid.min()
    )
    assert jax.jit(lambda: final_loss(of.adam(0.1)))() > 1.1 * grid.min()


# --- refusals and edges ---------------------------------------------------------------


@pytest.mark.parametrize("factory", [of.prodigy, of.dadapt_adam])
def test_zero_gradients_at_first(factory):
    """Nothing is known of a distance, and then as if the run began later."""
    tx = factory(d0=1e-3)
    params = {"w": jnp.array([1.0, -2.0])}
    zeros = jax.tree.map(jnp.zeros_like, params)

    def steps(state, count, params=params):
        for _ in range(count):
            updates, state = tx.update(params, state, params)
            params = of.apply_updates(params, updates)
        return params, state

    state = tx.init(params)
    for _ in range(3):
        updates, state = tx.update(zeros, state, params)
        np.testing.assert_array_equal(updates["w"], 0)
    found, expected = steps(state, 5), steps(tx.init(params), 5)
    np.testing.assert_array_equal(found[0]["w"], expected[0]["w"])
    assert of.find_in_state(found[1], "d") > 1e-3


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.prodigy(-1.0), "lr must be at least 0, found -1.0"),
        (lambda: of.prodigy(beta3=1.0), "beta3 must be at least 0 and below 1"),
        (lambda: of.prodigy(betas=(0.9, 1.0)), r"betas\[1\] must be at least 0"),
        (lambda: of.prodigy(d0=0.0), "d0 must be above 0, found 0.0"),
        (lambda: of.prodigy(d_coef=0.0), "d_coef must be above 0, found 0.0"),
        (lambda: of.prodigy(growth_rate=0.0), "growth_rate must be above 0"),
        (lambda: of.prodigy(eps=-1.0), "eps must be at least 0"),
        (lambda: of.prodigy(weight_decay=-1.0), "weight_decay must be at least 0"),
        (lambda: of.dog(-1.0), "lr must be at least 0, found -1.0"),
        (lambda: of.dog(reps_rel=0.0), "reps_rel must be above 0"),
        (lambda: of.dog(init_distance=-1.0), "init_distance must be above 0"),
        (lambda: of.dog(init_eta=0.0), "init_eta must be above 0"),
        (lambda: of.dog(eps=-1.0), "eps must be at least 0"),
        (
            lambda: of.dog(init_distance=0.1, init_eta=0.2),
            "two ways to begin, found both: 0.1 and 0.2; pass only one",
        ),
        (lambda: of.dowg(-1.0), "lr must be at least 0, found -1.0"),
        (lambda: of.dowg(init_estim_sq_dist=0.0), "init_estim_sq_dist must be above"),
        (lambda: of.dowg(eps=0.0), "eps must be above 0"),
        (lambda: of.dowg(weight_decay=-1.0), "weight_decay must be at least 0"),
        (lambda: of.cocob(-1.0), "lr must be at least 0, found -1.0"),
        (lambda: of.cocob(alpha=0.0), "alpha must be above 0, found 0.0"),
        (lambda: of.cocob(eps=-1.0), "eps must be at least 0, found -1.0"),
        (lambda: of.mechanize(of.sgd(), -1.0), "weight_decay must be at least 0"),
        (lambda: of.mechanize(of.sgd(), eps=0.0), "eps must be above 0"),
        (lambda: of.mechanize(of.sgd(), s_init=0.0), "s_init must be above 0"),
        (lambda: of.mechanize(of.sgd(), num_betas=0), "num_betas must be at least 1"),
        (lambda: of.dadapt_adam(-1.0), "lr must be at least 0, found -1.0"),
        (lambda: of.dadapt_adam(betas=(0.9, 1.0)), r"betas\[1\] must be at least 0"),
        (lambda: of.dadapt_adam(d0=0.0), "d0 must be above 0, found 0.0"),
        (lambda: of.dadapt_adam(growth_rate=-1.0), "growth_rate must be above 0"),
        (lambda: of.dadapt_adam(eps=-1.0), "eps must be at least 0"),
    ],
)
def test_numbers_out_of_range(build, message):
    with pytest.raises(ValueError, match=message):
        build()
