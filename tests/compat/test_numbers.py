"""What `compat.optax` builds against optax: updates and states over 20 steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc.compat.optax as compat

pytestmark = pytest.mark.slow

STEPS = 20


@pytest.fixture(autouse=True)
def promotion():
    """optax counts on implicit promotion."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def falling(step):
    return 0.1 / (1.0 + step)


def is_matrix(params):
    return jax.tree.map(lambda p: p.ndim > 1, params)


def total_size(updates):
    return jnp.sum(jnp.abs(updates["w"])) + jnp.sum(jnp.abs(updates["b"]))


def total_size_of_each(updates):
    return jax.tree.map(lambda u: u * u, updates)


MASK = {"w": True, "b": False}
LABELS = {"w": 1, "b": 3}

# Each takes the module; the second of a pair gives every argument by its position.
ENTRIES = {
    "adabelief": lambda o: o.adabelief(0.01),
    "adabelief all": lambda o: o.adabelief(
        falling, 0.8, 0.99, 1e-8, 1e-8, nesterov=True
    ),
    "adadelta": lambda o: o.adadelta(),
    "adadelta all": lambda o: o.adadelta(0.5, 0.8, 1e-5, 0.1, MASK),
    "adagrad": lambda o: o.adagrad(0.1),
    "adagrad all": lambda o: o.adagrad(falling, 0.5, 1e-3),
    "adam": lambda o: o.adam(0.01),
    "adam all": lambda o: o.adam(falling, 0.8, 0.99, 1e-6, 1e-5, nesterov=True),
    "adam climbing": lambda o: o.adam(-0.01),
    "adamw": lambda o: o.adamw(0.01),
    "adamw all": lambda o: o.adamw(
        0.01, 0.8, 0.99, 1e-6, 1e-5, None, 0.1, is_matrix, nesterov=True
    ),
    "nadam": lambda o: o.nadam(0.01),
    "nadamw": lambda o: o.nadamw(0.01, weight_decay=0.1, mask=MASK),
    "adamax": lambda o: o.adamax(0.01, 0.8, 0.99, 1e-3),
    "adamaxw": lambda o: o.adamaxw(0.01, 0.8, 0.99, 1e-3, 0.1, MASK),
    "lamb": lambda o: o.lamb(0.01),
    "lamb all": lambda o: o.lamb(falling, 0.8, 0.99, 1e-5, 1e-5, 0.1, MASK),
    "lars": lambda o: o.lars(0.1),
    "lars all": lambda o: o.lars(0.1, 0.1, MASK, 0.01, 1e-3, MASK, 0.8, True),
    "lion": lambda o: o.lion(0.01),
    "lion all": lambda o: o.lion(falling, 0.8, 0.95, None, 0.1, MASK),
    "rmsprop": lambda o: o.rmsprop(0.01),
    "rmsprop all": lambda o: o.rmsprop(
        falling, 0.8, 1e-3, 0.5, False, False, 0.7, True
    ),
    "rmsprop centered": lambda o: o.rmsprop(0.01, 0.9, 1e-3, 0.1, True, True, 0.5),
    "rmsprop corrected": lambda o: o.rmsprop(0.01, bias_correction=True),
    # The deviation of the first gradient is a difference that cancels: a large eps.
    "stddev corrected": lambda o: o.chain(
        o.scale_by_stddev(0.9, 0.1, bias_correction=True), o.scale(-0.01)
    ),
    "sgd": lambda o: o.sgd(0.1),
    "sgd all": lambda o: o.sgd(falling, 0.9, True),
    "sign_sgd": lambda o: o.sign_sgd(0.01),
    "smooth lion": lambda o: o.scale_by_lion(mode="smooth", smooth_beta=3.0),
    "yogi": lambda o: o.yogi(0.01),
    "yogi all": lambda o: o.chain(
        o.scale_by_yogi(0.8, 0.9, 1e-2, 1e-3, 1e-3), o.scale(-0.01)
    ),
    "radam": lambda o: o.radam(0.01),
    "radam all": lambda o: o.radam(falling, 0.8, 0.9, 1e-3, 1e-3, 4.5, nesterov=True),
    "adan": lambda o: o.adan(0.01),
    "adan all": lambda o: o.adan(falling, 0.9, 0.8, 0.95, 1e-3, 1e-3, 0.1, MASK),
    "sm3": lambda o: o.sm3(0.1),
    "sm3 all": lambda o: o.chain(o.scale_by_sm3(0.8, 0.9, 1e-3), o.scale(-0.1)),
    "optimistic descent": lambda o: o.optimistic_gradient_descent(0.1),
    "optimistic descent all": lambda o: o.optimistic_gradient_descent(
        falling, 0.5, 2.0
    ),
    "optimistic adam": lambda o: o.optimistic_adam_v2(
        falling, alpha=0.5, beta=0.7, b1=0.8, b2=0.9, eps=1e-3, eps_root=1e-3
    ),
    "signum": lambda o: o.signum(0.01),
    "signum all": lambda o: o.signum(falling, 0.5, jnp.float32),
    "fromage": lambda o: o.fromage(0.1),
    "fromage all": lambda o: o.fromage(falling, 1e-2),
    "adafactor": lambda o: o.adafactor(0.01),
    "adafactor all": lambda o: o.adafactor(
        falling, 2, 0.7, -3, False, 0.5, 0.9, jnp.float32, 0.1, 1e-8, True, MASK
    ),
    "without factors": lambda o: o.adafactor(
        clipping_threshold=None, weight_decay_rate=falling, factored=False
    ),
    "acprop": lambda o: o.contrib.acprop(0.01, eps=1e-3),
    "acprop all": lambda o: o.contrib.acprop(falling, 0.8, 0.9, 1e-2, 1e-3, 0.1, MASK),
    "ademamix": lambda o: o.contrib.ademamix(0.01),
    "ademamix all": lambda o: o.contrib.ademamix(
        falling, 0.0, 0.9, falling, falling, 1e-3, 1e-3, None, 0.1, MASK
    ),
    "simplified ademamix": lambda o: o.contrib.simplified_ademamix(0.01),
    "simplified ademamix all": lambda o: o.contrib.simplified_ademamix(
        falling, 0.8, 0.9, falling, 1e-3, 1e-3, 0.1, MASK
    ),
    "madgrad": lambda o: o.contrib.madgrad(0.1),
    "madgrad all": lambda o: o.contrib.madgrad(falling, 0.0, 0.1, 1e-3),
    "cocob": lambda o: o.contrib.cocob(),
    "cocob all": lambda o: o.contrib.cocob(falling, 10.0, 1e-3, 0.1, MASK),
    "prodigy": lambda o: o.contrib.prodigy(),
    "prodigy all": lambda o: o.contrib.prodigy(
        falling, (0.8, 0.9), 0.9, 1e-3, 1e-3, 2.0, 0.1, True
    ),
    "factored": lambda o: o.scale_by_factored_rms(min_dim_size_to_factor=0),
    "a chain": lambda o: o.chain(
        o.clip_by_global_norm(0.5),
        o.clip(0.2),
        o.centralize(),
        o.add_decayed_weights(falling),
        o.trace(0.9),
        o.scale_by_schedule(falling),
        o.scale(-1.0),
    ),
    "by name": lambda o: o.named_chain(
        ("a", o.clip_by_block_rms(0.3)), ("b", o.sgd(0.1))
    ),
    "agc": lambda o: o.chain(o.adaptive_grad_clip(0.01, 1e-2), o.sgd(0.1, 0.9)),
    "masked": lambda o: o.masked(o.adam(0.1), is_matrix),
    "partition": lambda o: o.multi_transform({1: o.adam(0.1), 3: o.sgd(0.1)}, LABELS),
    "frozen": lambda o: o.chain(o.sgd(0.1), o.freeze(MASK)),
    "selective": lambda o: o.selective_transform(o.sgd(0.1), freeze_mask=MASK),
    "if finite": lambda o: o.apply_if_finite(o.adam(0.01), 2),
    "under a condition": lambda o: o.conditionally_transform(
        o.adam(0.1), lambda t: t < 5
    ),
    "masked in time": lambda o: o.conditionally_mask(o.adam(0.1), lambda t: t % 2 == 0),
    "multi steps": lambda o: o.MultiSteps(o.adam(0.01), 3).gradient_transformation(),
    "multi steps, sum": lambda o: o.MultiSteps(
        o.adamw(0.01), lambda t: 1 + t, False, o.skip_not_finite
    ).gradient_transformation(),
    "injected": lambda o: o.inject_hyperparams(o.adamw)(falling, b1=0.8, mask=MASK),
    "without nans": lambda o: o.chain(o.zero_nans(), o.identity(), o.sgd(0.1)),
    "ema": lambda o: o.ema(0.9),
    "ema all": lambda o: o.chain(o.ema(0.8, False, jnp.float32), o.scale(-0.1)),
    "every": lambda o: o.chain(o.adam(0.01), o.apply_every(3)),
    "nonnegative": lambda o: o.chain(o.sgd(0.1), o.keep_params_nonnegative()),
    "one length": lambda o: o.chain(
        o.normalize_by_update_norm(0.5, 1e-3), o.scale(-0.1)
    ),
    "by block": lambda o: o.chain(
        o.scale_by_param_block_norm(0.1), o.scale_by_param_block_rms(), o.scale(-0.1)
    ),
    "noise": lambda o: o.chain(o.add_noise(0.1, 0.55, 3), o.scale(-0.1)),
    "noisy sgd": lambda o: o.noisy_sgd(falling, key=jax.random.key(7)),
    "flat": lambda o: o.flatten(o.chain(o.clip_by_block_rms(0.1), o.adam(0.01))),
    "snapshot": lambda o: o.chain(o.sgd(0.1), o.snapshot("size", total_size)),
    "average of a measure": lambda o: o.chain(
        o.sgd(0.1), o.transforms.measure_with_ema(total_size_of_each, 0.9)
    ),
    "directions of L-BFGS": lambda o: o.lbfgs(0.01, 4, linesearch=None),
    "without its scale": lambda o: o.chain(o.scale_by_lbfgs(3, False), o.scale(-0.01)),
    "stateless": lambda o: o.chain(
        o.stateless(lambda u, p: jax.tree.map(lambda x, y: x + 0.1 * y, u, p)),
        o.stateless_with_tree_map(lambda u, p: 2 * u),
        o.scale_by_learning_rate(0.1),
    ),
}
WITH_BFLOAT16 = {
    "adam": lambda o: o.adam(1e-3, mu_dtype=jnp.bfloat16),
    "adamw": lambda o: o.adamw(1e-3, mu_dtype="bfloat16"),
    "lion": lambda o: o.lion(1e-3, mu_dtype=jnp.bfloat16),
    "sgd": lambda o: o.sgd(1e-4, 0.9, True, jnp.bfloat16),
}


def start(dtype=jnp.float32):
    key = jax.random.key(0)
    w, b = jax.random.normal(key, (3, 2)), jnp.array([0.5, -1.0])
    return {"w": w.astype(dtype), "b": b.astype(dtype)}


def gradients(dtype=jnp.float32):
    """Of each step, the same for both: what is compared is one rule."""
    key = jax.random.key(1)
    shapes = {"w": (STEPS, 3, 2), "b": (STEPS, 2)}
    return {k: jax.random.normal(key, s).astype(dtype) for k, s in shapes.items()}


def run(tx, params, grads):
    """Parameters and states after each step."""

    def step(carry, grad):
        params, state = carry
        updates, state = tx.update(grad, state, params)
        # In float32 the steps of bfloat16 parameters do not add up errors of rounding.
        params = jax.tree.map(
            lambda p, u: (p + u.astype(p.dtype)).astype(p.dtype), params, updates
        )
        return (params, state), None

    return jax.lax.scan(step, (params, tx.init(params)), grads)[0]


@functools.cache
def results(module, which, dtype):
    """Of all entries in one program, which compiles once."""
    entries = {"ENTRIES": ENTRIES, "WITH_BFLOAT16": WITH_BFLOAT16}[which]

    @jax.jit
    def all_of_them(params, grads):
        return {k: run(build(module), params, grads) for k, build in entries.items()}

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return all_of_them(start(dtype), gradients(dtype))


def names_of(state):
    """Fields and their places, whatever the types; a hidden leaf is nothing."""
    return [
        jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(state)
    ]


def compare(which, name, dtype, rtol, atol):
    (ours, state), (theirs, their_state) = (
        results(module, which, dtype)[name] for module in (compat, optax)
    )
    assert names_of(state) == names_of(their_state)
    state, their_state = map(optax.tree.unwrap_random_key_data, (state, their_state))
    for tree, other in ((ours, theirs), (state, their_state)):
        for x, y in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
            assert (x.shape, x.dtype) == (y.shape, y.dtype)
            np.testing.assert_allclose(
                np.asarray(x, np.float64), np.asarray(y, np.float64), rtol, atol
            )


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_has_optaxs_numbers(name):
    # Steps of 0.1 and moments of about 1, of which optax rounds 1 - b**t to 1e-5. Its
    # RAdam takes the difference of two lengths of 2,000 to get one of 10.
    tolerances = (1e-4, 1e-5) if "radam" in name else (1e-5, 1e-6)
    compare("ENTRIES", name, jnp.float32, *tolerances)


WITH_THE_LOSS = {
    "polyak_sgd": lambda o: o.polyak_sgd(),
    "polyak_sgd all": lambda o: o.polyak_sgd(0.5, falling, 0.1, 0.2, "sps+"),
    "momo": lambda o: o.contrib.momo(),
    "momo all": lambda o: o.contrib.momo(falling, 0.8, -1.0, 0.1, True),
    "momo_adam": lambda o: o.contrib.momo_adam(),
    "momo_adam all": lambda o: o.contrib.momo_adam(
        falling, 0.8, 0.9, 1e-3, -1.0, 0.1, True
    ),
}


@pytest.mark.parametrize("name", WITH_THE_LOSS)
def test_an_entry_that_asks_for_the_loss_has_optaxs_numbers(name):
    def last(module):
        tx, params = WITH_THE_LOSS[name](module), start()
        state = tx.init(params)
        for _ in range(5):
            value = 0.5 * sum(jnp.vdot(p, p) for p in params.values())
            updates, state = tx.update(params, state, params, value=value)
            params = module.apply_updates(params, updates)
        return params, state

    (ours, state), (theirs, their_state) = map(last, (compat, optax))
    assert names_of(state) == names_of(their_state)
    for x, y in zip(
        jax.tree.leaves((ours, state)),
        jax.tree.leaves((theirs, their_state)),
        strict=True,
    ):
        np.testing.assert_allclose(x, y, 1e-5, 1e-6)  # sums in another order


def test_another_decay_of_factored_rms_is_optaxs_own():
    def constant(step, rate):
        return rate

    def last(module):
        tx = module.scale_by_factored_rms(decay_rate=0.9, decay_rate_fn=constant)
        return tx.update(start(), tx.init(start()), start())[0]

    jax.tree.map(np.testing.assert_array_equal, last(compat), last(optax))


def test_the_older_optimistic_adam():
    def last(module):
        tx, params = module.optimistic_adam(0.1, 0.05, eps=1e-3), start()
        state = tx.init(params)
        for _ in range(3):
            updates, state = tx.update(params, state, params)
            params = module.apply_updates(params, updates)
        return params, state

    with pytest.warns(DeprecationWarning, match="optimistic_adam_v2"):
        expected = last(optax)
    found = last(compat)
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(x, y, 1e-5, 1e-6)


def test_optimistic_adam_takes_no_schedule():
    with pytest.raises(ValueError, match="optimistic_adam_v2 takes a schedule"):
        compat.optimistic_adam(falling)


@pytest.mark.parametrize("name", WITH_BFLOAT16)
def test_moments_in_bfloat16(name):
    # optax rounds the decayed moment once more, to bfloat16: by 1/256 of a step of
    # 1e-3, in 20 steps.
    (ours, _), (theirs, _) = (
        results(module, "WITH_BFLOAT16", jnp.float32)[name]
        for module in (compat, optax)
    )
    for x, y in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(x, y, 1e-4, 1e-4)


@pytest.mark.slow
# Injected numbers have the parameters' dtype: 0.999 is 1 in bfloat16, here and there.
@pytest.mark.parametrize("name", [name for name in ENTRIES if name != "injected"])
def test_an_entry_in_bfloat16_is_as_near_to_float32_as_optaxs(name):
    """Each step rounds once here and at each operation there."""
    exact, ours, theirs = (
        results(module, "ENTRIES", dtype)[name][0]
        for module, dtype in (
            (optax, jnp.float32),
            (compat, jnp.bfloat16),
            (optax, jnp.bfloat16),
        )
    )
    for key in exact:
        error, their_error = (
            np.max(np.abs(np.asarray(x[key], np.float64) - np.asarray(exact[key])))
            for x in (ours, theirs)
        )
        # 20 sums of numbers below 4 are off by half a unit of the last place each.
        assert error <= 20 * 2**-8 * 2 + 1.5 * their_error


COMPLEX = (
    "adam",
    "adam all",
    "adamw",
    "nadam",
    "adagrad",
    "rmsprop",
    "rmsprop all",
    "rmsprop centered",
    "rmsprop corrected",
)


def test_complex_parameters_by_their_moduli():
    """optax divides both parts by the modulus; so are the states."""
    found = []
    grads = {
        k: jax.lax.complex(g, jnp.flip(g, 0) + 0.5) for k, g in gradients().items()
    }
    params = {k: jax.lax.complex(p, 0.3 * p - 1) for k, p in start().items()}
    for module in (compat, optax):

        @jax.jit
        def all_of_them(params, grads, module=module):
            return {k: run(ENTRIES[k](module), params, grads) for k in COMPLEX}

        found.append(all_of_them(params, grads))
    ours, theirs = found
    assert names_of(ours) == names_of(theirs)
    for x, y in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        # As the real entries. Their parts apart differ by percents.
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), 1e-5, 2e-6)


def test_bfloat16_gradients_of_float32_parameters_give_float32_updates():
    params, grads = start(), start(jnp.bfloat16)
    for build in (ENTRIES["adam"], ENTRIES["sgd all"], ENTRIES["sgd"]):
        found = []
        for module in (compat, optax):
            tx = build(module)
            updates, _ = tx.update(grads, tx.init(params), params)
            found.append(
                {k: (u.dtype, np.asarray(u, float)) for k, u in updates.items()}
            )
        for key in params:
            assert found[0][key][0] == found[1][key][0]
            np.testing.assert_allclose(found[0][key][1], found[1][key][1], 1e-2)
