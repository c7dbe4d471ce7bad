"""Schedule-Free and lookahead: the authors' runs, and what is to be evaluated."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

from .authors import assert_follows


def evaluated(tx):
    return lambda state, params: of.eval_params(tx, state, params)


SCHEDULE_FREE = {
    "schedule_free_sgd": lambda: of.schedule_free_sgd(0.1),
    "schedule_free_sgd_optax": lambda: of.schedule_free_sgd(0.1),
    "schedule_free_sgd_warmup_r": lambda: of.schedule_free_sgd(
        0.1, weight_decay=0.01, warmup_steps=2, r=1.0
    ),
    "schedule_free_adamw": lambda: of.schedule_free_adamw(0.1, weight_decay=0.01),
    "schedule_free_adamw_optax": lambda: of.schedule_free_adamw(0.1, weight_decay=0.01),
    "schedule_free_adamw_warmup": lambda: of.schedule_free_adamw(0.1, warmup_steps=3),
    "schedule_free_adamw_reference_decay_at_z": lambda: of.schedule_free_adamw(
        0.1, weight_decay=0.1, decay_at_z=True
    ),
    "schedule_free_radam": lambda: of.schedule_free_radam(0.1, (0.9, 0.99)),
    "schedule_free_radam_sgdphase": lambda: of.schedule_free_radam(
        0.1, (0.9, 0.99), weight_decay=0.01, silent_sgd_phase=False
    ),
    "schedule_free_wrapper_sgd": lambda: of.schedule_free(
        of.sgd(0.1, weight_decay=0.01)
    ),
}


@pytest.mark.parametrize("name", SCHEDULE_FREE)
def test_schedule_free_follows_the_authors(name, x64):
    tx = SCHEDULE_FREE[name]()
    assert_follows(name, tx, read=evaluated(tx))


def test_gpa_follows_the_authors(x64):
    tx = of.gpa_adamw(0.1, weight_decay=0.01, eval_interp_coeff=0.9)
    assert_follows("gpa_adamw", tx, read=evaluated(tx))


LOOKAHEAD = {
    "lookahead": lambda: of.lookahead(of.sgd(0.1, 0.9), 2),
    "lookahead_reset": lambda: of.lookahead(of.sgd(0.1, 0.9), 2, reset_state=True),
    "lookahead_po": lambda: of.lookahead(of.sgd(0.1, 0.9), 2),
}


@pytest.mark.parametrize("name", LOOKAHEAD)
def test_lookahead_follows_the_authors(name, x64):
    tx = LOOKAHEAD[name]()
    read = None if name.endswith("_po") else evaluated(tx)
    assert_follows(name, tx, read=read)


def test_schedule_free_with_optax_counts(x64):
    """There the weights' learning rate is one update ahead of the optimizer's."""

    def ramp(step):
        return 0.1 * jnp.minimum(step / 2, 1)

    def ahead(step):
        return ramp(step + 1)

    inner = of.sgd(ramp, weight_decay=0.01)
    tx = of.chain(of.schedule_free(inner, lr=ahead))
    # optax's schedule is computed in float32.
    name = "schedule_free_sgd_optax_warmup_wd"
    assert_follows(name, tx, read=evaluated(tx), atol=1e-8)


# --- what is to be evaluated ----------------------------------------------------------

PARAMS = {"kernel": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "bias": jnp.array([0.3, 2.0])}


def is_kernel(path, leaf):
    return path == "kernel"


def trained(tx, steps=3):
    """Parameters and state after some steps, and the parameters of each."""
    params, state = PARAMS, tx.init(PARAMS)
    passed = []
    for _ in range(steps):
        updates, state = tx.update(params, state, params)
        params = of.apply_updates(params, updates)
        passed.append(params)
    return params, state, passed


def assert_equal(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


WRAPPERS = {
    "chain": lambda tx: of.chain(of.identity(), tx),
    "named chain": lambda tx: of.chain(first=of.identity(), second=tx),
    "masked": lambda tx: of.masked(tx, lambda path, leaf: True),
    "partition": lambda tx: of.partition(
        {"a": tx, "b": of.sgd(0.1)}, lambda path, leaf: "a"
    ),
    "flatten": of.flatten,
    "flatten small": lambda tx: of.flatten(tx, max_size=2),
    "accumulate": lambda tx: of.accumulate_gradients(tx, 1),
    "skip": of.skip_not_finite,
    "conditionally": lambda tx: of.conditionally(tx, lambda step: step >= 0),
    "scheduled": of.scheduled,
    "all": lambda tx: of.chain(of.masked(of.flatten(of.skip_not_finite(tx)), True)),
}
KINDS = {
    "schedule_free": (of.schedule_free_sgd(0.1), "z"),
    "gpa": (of.gpa_adamw(0.1, eval_interp_coeff=0.9), "z"),
    "lookahead": (of.lookahead(of.sgd(0.1, 0.9), 2), "slow"),
    "ema": (of.chain(of.sgd(0.1), of.ema_parameters(0.5)), "average"),
    "mean": (of.chain(of.sgd(0.1), of.average_parameters()), "average"),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("kind", KINDS)
def test_eval_params_through_wrappers(kind, wrapper):
    tx, field = KINDS[kind]
    params, state, _ = trained(tx)
    kept = of.find_in_state(state, field)
    if field == "z":
        share = 0.9 if kind == "schedule_free" else 0.7
        expected = jax.tree.map(
            lambda y, z: (y - (1 - share) * z) / share, params, kept
        )
    else:
        expected = kept
    assert not np.allclose(expected["kernel"], params["kernel"])
    wrapped = WRAPPERS[wrapper](tx)
    params, state, _ = trained(wrapped)
    evaluate = jax.jit(lambda tx, s, p: of.eval_params(tx, s, p))
    # The same operations, fused otherwise.
    for found in (
        of.eval_params(wrapped, state, params),
        evaluate(wrapped, state, params),
    ):
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-6), found, expected
        )


def test_eval_params_where_nothing_else_is_evaluated():
    for tx in (of.adamw(), of.identity(), optax.adam(0.1)):
        state = tx.init(PARAMS)
        assert_equal(of.eval_params(tx, state, PARAMS), PARAMS)
        for nothing in ({}, None, {"a": None}):
            assert of.eval_params(tx, tx.init(nothing), nothing) == nothing


def test_eval_params_of_some_of_the_parameters():
    inner = of.lookahead(of.sgd(0.1), 2)
    for tx in (
        of.chain(of.masked(inner, is_kernel)),
        of.partition({"a": inner, "b": of.sgd(0.1)}, {"kernel": "a", "bias": "b"}),
    ):
        params, state, _ = trained(tx)
        found = of.eval_params(tx, state, params)
        slow = of.find_in_state(state, "slow")
        assert_equal(found, {"kernel": slow["kernel"], "bias": params["bias"]})
        assert not np.array_equal(slow["kernel"], params["kernel"])
    # One array, which is not selected.
    tx = of.masked(inner, False)
    state = tx.init(PARAMS["bias"])
    assert_equal(of.eval_params(tx, state, PARAMS["bias"]), PARAMS["bias"])


def test_the_last_of_several_counts():
    tx = of.chain(of.lookahead(of.sgd(0.1), 2), of.ema_parameters(0.5))
    params, state, _ = trained(tx)
    assert_equal(of.eval_params(tx, state, params), state[1].average)
    apart = of.chain(
        of.masked(of.ema_parameters(0.5), is_kernel), of.average_parameters()
    )
    mean_last = of.eval_params(apart, trained(apart)[1], params)
    assert_equal(mean_last, trained(apart)[1][1].average)


def test_eval_params_keep_dtypes_and_other_leaves():
    class Wide(of.GradientTransformation):
        """Keeps what it evaluates in float32."""

        def init(self, params):
            return jax.tree.map(lambda p: p.astype(jnp.float32) + 0.5, params)

        def update(self, updates, state, params=None, **extra):
            return updates, state

        def evaluated(self, state, params):
            return state

    tx = of.chain(of.transformation(Wide)())
    params = {"w": jnp.ones(2, jnp.bfloat16), "none": None}
    found = of.eval_params(tx, tx.init(params), params)
    assert found["w"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(found["w"].astype(jnp.float32), 1.5)
    # A model of Equinox is given whole, its functions included.
    model = {**PARAMS, "activation": jnp.tanh}
    arrays = {**PARAMS, "activation": None}
    tx = of.lookahead(of.sgd(0.1))
    found = of.eval_params(tx, tx.init(arrays), model)
    assert found["activation"] is jnp.tanh
    assert_equal(found["kernel"], PARAMS["kernel"])


def test_eval_params_of_a_stateful_optimizer():
    optimizer = of.optim.Stateful(of.lookahead(of.sgd(0.1), 2), PARAMS)
    for _ in range(3):
        optimizer.step(grads=optimizer.params)
    slow = of.find_in_state(optimizer.functional()[1], "slow")
    assert_equal(of.eval_params(*optimizer.functional()), slow)
    # Parameters of different ages, and groups.
    optimizer.step(grads={**optimizer.params, "bias": None})
    found = of.eval_params(*optimizer.functional())
    assert not np.array_equal(found["bias"], optimizer.params["bias"])


# --- rules that the records do not have -----------------------------------------------


def test_lookahead_with_a_share_of_one_is_the_inner_optimizer():
    """And at each sync the fast parameters are the slow ones."""
    tx, alone = of.lookahead(of.adam(0.1), 3, 1.0), of.adam(0.1)
    params, state, passed = trained(tx, 6)
    # A parameter of order 1 rounds once more where it becomes the slow one.
    assert_close = partial(np.testing.assert_allclose, rtol=1e-6, atol=5e-7)
    jax.tree.map(assert_close, passed, trained(alone, 6)[2])
    jax.tree.map(assert_close, params, state.slow)


def test_the_learning_rate_in_the_weights(x64):
    """Through a decaying schedule the maximum stays, as a formula in NumPy has it."""
    rates = np.array([0.1, 0.3, 0.05, 0.2, 0.0])

    def lr(step):
        return jnp.asarray(rates)[step]

    tx = of.schedule_free_sgd(lr, momentum=0.6, r=0.5, weight_lr_power=1.0)
    y = z = x = np.array([1.0, -2.0])
    total = peak = 0.0
    params = jnp.asarray(y)
    state = tx.init(params)
    for t, rate in enumerate(rates, start=1):
        updates, state = tx.update(0.5 * params, state, params)
        params = of.apply_updates(params, updates)
        z = z - rate * 0.5 * y
        peak = max(peak, rate)
        weight = np.sqrt(t) * peak
        total += weight
        x = x + weight / total * (z - x)
        y = 0.6 * x + 0.4 * z
        np.testing.assert_allclose(params, y, atol=1e-14)
        np.testing.assert_allclose(of.eval_params(tx, state, params), x, atol=1e-14)


def test_the_rate_of_radam_is_shown_and_replaced():
    tx = of.schedule_free_radam(0.1, (0.9, 0.99))
    params, state, _ = trained(tx, 3)
    assert of.current_hyperparameters(tx, state)["lr"] == 0
    assert_equal(params, PARAMS)
    _, state, _ = trained(tx, 60)
    late = of.current_hyperparameters(tx, state)["lr"]
    assert 0.02 < late < 0.1
    other = of.replace_hyperparameters(tx, lr=0.2)
    assert of.current_hyperparameters(other, state)["lr"] == pytest.approx(2 * late)


def test_a_schedule_inside_of_radam():
    """The same as another number at each step."""
    falling = of.schedule_free_radam(lambda step: 0.1 / (1 + step.astype(float)))
    params, state = PARAMS, falling.init(PARAMS)
    other, other_state = PARAMS, falling.init(PARAMS)
    for t in range(8):
        updates, state = falling.update(params, state, params)
        params = of.apply_updates(params, updates)
        now = of.schedule_free_radam(0.1 / (1 + t))
        updates, other_state = now.update(other, other_state, other)
        other = of.apply_updates(other, updates)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, 1e-6), params, other)
    assert not np.array_equal(params["bias"], PARAMS["bias"])


# --- refusals -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.schedule_free_sgd(-1.0), "lr must be at least 0, found -1.0"),
        (lambda: of.schedule_free_sgd(momentum=0.0), "momentum must be above 0"),
        (lambda: of.schedule_free_sgd(momentum=1.5), "at most 1, found 1.5"),
        (lambda: of.schedule_free_adamw(betas=(0.0, 0.9)), "momentum must be above 0"),
        (lambda: of.schedule_free_adamw(betas=(0.9, 1.0)), r"betas\[1\] must be"),
        (lambda: of.schedule_free_adamw(eps=-1.0), "eps must be at least 0"),
        (lambda: of.schedule_free_radam(weight_decay=-1.0), "weight_decay must be"),
        (lambda: of.schedule_free_sgd(warmup_steps=-1), "warmup_steps must be at"),
        (lambda: of.schedule_free_sgd(r=-1.0), "r must be at least 0"),
        (lambda: of.schedule_free_sgd(weight_lr_power=-1.0), "weight_lr_power must"),
        (lambda: of.schedule_free(optax.sgd(0.1)), r"none or several in \[\]; pass lr"),
        (
            lambda: of.schedule_free(
                of.partition({"a": of.sgd(0.1), "b": of.sgd(0.2)}, "a")
            ),
            r"\['a.lr', 'b.lr'\]; pass lr",
        ),
        (lambda: of.gpa_adamw(-1.0), "lr must be at least 0, found -1.0"),
        (lambda: of.gpa_adamw(train_interp_coeff=0.0), "train_interp_coeff must be"),
        (lambda: of.gpa_adamw(eval_interp_coeff=1.0), "eval_interp_coeff must be"),
        (lambda: of.gpa_adamw(betas=(1.0, 0.9)), r"betas\[0\] must be"),
        (lambda: of.lookahead(of.sgd(), 0), "sync_period must be at least 1"),
        (lambda: of.lookahead(of.sgd(), 2, 1.5), "slow_step_size must be at least 0"),
    ],
)
def test_numbers_out_of_range(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_an_optax_optimizer_with_its_learning_rate_given():
    tx = of.schedule_free(optax.sgd(0.1), lr=0.1)
    found, expected = trained(tx)[0], trained(of.schedule_free_sgd(0.1))[0]
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, 1e-6), found, expected)
