"""Hyperparameters: checked, scheduled, read and replaced through every wrapper."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of
from optifunc._checks import (
    check_betas,
    check_choice,
    check_integer,
    check_pair,
    check_range,
)

PARAMS = {"w": jnp.array([1.0, -2.0]), "b": jnp.ones(())}


def decay(step):
    return 1.0 / (1.0 + jnp.asarray(step, jnp.float32))


def inner():
    """A transformation with a number and a schedule."""
    return of.chain(of.momentum(0.5), of.scale_by_learning_rate(decay))


def advanced(tx, updates=3, **extra):
    state, update = tx.init(PARAMS), jax.jit(tx.update)
    for _ in range(updates):
        state = update(PARAMS, state, PARAMS, **extra)[1]
    return state


def is_w(path, leaf):
    return path == "w"


def always(step):
    return step >= 0


def never(step):
    return step < 0


WRAPPERS = {
    "chain": lambda tx: of.chain(tx, of.clip(1.0)),
    "named chain": lambda tx: of.chain(z=tx, clip=of.clip(1.0)),
    "masked": lambda tx: of.masked(tx, is_w),
    "partition": lambda tx: of.partition(
        {"train": tx, "freeze": of.set_to_zero()}, {"w": "train", "b": "freeze"}
    ),
    "flatten": of.flatten,
    "accumulate": lambda tx: of.accumulate_gradients(tx, 1),
    "conditionally": lambda tx: of.conditionally(tx, always),
    "otherwise": lambda tx: of.conditionally(of.clip(1), never, tx),
    "skip_not_finite": of.skip_not_finite,
    "averages": lambda tx: of.chain(tx, of.ema_parameters(), of.average_parameters()),
    "all": lambda tx: of.chain(
        of.skip_not_finite(of.accumulate_gradients(of.masked(of.chain(tx), True), 1))
    ),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_values_are_read_and_replaced_through(name):
    tx = WRAPPERS[name](inner())
    state = advanced(tx)
    found = of.current_hyperparameters(tx, state)
    assert found["momentum"] == 0.5
    assert float(found["lr"]) == 0.25
    assert found.get("every", 1) == 1
    inside = jax.jit(lambda tx, state: of.current_hyperparameters(tx, state))
    fixed = of.replace_hyperparameters(WRAPPERS[name](of.sgd(0.1, 0.5)), lr=0.75)
    assert float(inside(fixed, fixed.init(PARAMS))["lr"]) == 0.75

    other = of.replace_hyperparameters(tx, momentum=0.25)
    assert of.current_hyperparameters(other, state)["momentum"] == 0.25
    assert jax.tree.structure(other.init(PARAMS)) == jax.tree.structure(state)
    # What is replaced is what is used: the same as rebuilt, from the same state.
    rebuilt = WRAPPERS[name](
        of.chain(of.momentum(0.25), of.scale_by_learning_rate(decay))
    )
    jax.tree.map(
        np.testing.assert_array_equal,
        other.update(PARAMS, state, PARAMS),
        rebuilt.update(PARAMS, state, PARAMS),
    )


@pytest.mark.parametrize("name", WRAPPERS)
def test_names_stay_what_they_are_inside_of(name):
    alone = of.sgd(0.1, 0.9, weight_decay=0.2)
    names = of.current_hyperparameters(alone, None)
    assert names == {"lr": 0.1, "momentum": 0.9, "dampening": 0.0, "weight_decay": 0.2}
    wrapped = WRAPPERS[name](alone)
    for state in (None, wrapped.init(PARAMS)):
        found = of.current_hyperparameters(wrapped, state)
        assert names.items() <= found.items()
    other = of.replace_hyperparameters(wrapped, lr=0.5, momentum=0.25)
    assert other == WRAPPERS[name](of.sgd(0.5, 0.25, weight_decay=0.2))


def test_names_that_occur_twice_are_qualified():
    tx = of.chain(a=of.scale(2.0), b=of.scale(3.0), c=of.clip(1.0))
    state = tx.init(PARAMS)
    wanted = {"a.factor": 2.0, "b.factor": 3.0, "max_value": 1.0}
    assert of.current_hyperparameters(tx, state) == wanted
    other = of.replace_hyperparameters(tx, **{"a.factor": 5.0}, max_value=2.0)
    assert list(of.current_hyperparameters(other, state).values()) == [5.0, 3.0, 2.0]
    with pytest.raises(ValueError, match=r"several times; .* \['a.factor', 'b.factor'"):
        of.replace_hyperparameters(tx, factor=1.0)
    # A full name is understood where a short one would do.
    full = of.replace_hyperparameters(tx, **{"c.max_value": 4.0})
    assert full.members["c"].max_value == 4.0

    either = of.conditionally(of.scale(2.0), lambda step: step < 1, of.scale(3.0))
    found = of.current_hyperparameters(either, either.init(PARAMS))
    assert found == {"inner.factor": 2.0, "otherwise.factor": 3.0}
    other = of.replace_hyperparameters(either, **{"otherwise.factor": 7.0})
    assert (other.inner.factor, other.otherwise.factor) == (2.0, 7.0)

    parts = of.partition({"x": of.sgd(0.1), "y": of.sgd(0.2)}, {"w": "x", "b": "y"})
    found = of.current_hyperparameters(parts, parts.init(PARAMS))
    assert {n: v for n, v in found.items() if n.endswith("lr")} == {
        "x.lr": 0.1,
        "y.lr": 0.2,
    }
    # A position in a chain may be given, and is needed where nothing else tells.
    for name in ("y.lr", "y.0.lr"):
        other = of.replace_hyperparameters(parts, **{name: 0.3})
        assert of.current_hyperparameters(other, parts.init(PARAMS))["y.lr"] == 0.3
    twins = of.chain(of.sgd(0.1), of.sgd(0.2))
    with pytest.raises(ValueError, match=r"'0\.0\.lr', '1\.0\.lr'"):
        of.replace_hyperparameters(twins, lr=0.3)


def test_replacing_compiles_nothing_anew_and_keeps_what_is_static():
    compiled = []

    @jax.jit
    def step(tx, state):
        compiled.append(tx)
        return tx.update(PARAMS, state, PARAMS)

    tx = of.masked(
        of.accumulate_gradients(of.sgd(0.1, 0.9), 1, "sum"), {"w": True, "b": False}
    )
    state = tx.init(PARAMS)
    for lr in (0.1, 0.2):
        other = of.replace_hyperparameters(tx, lr=lr)
        updates, _ = step(other, state)
        np.testing.assert_allclose(updates["w"], -lr * PARAMS["w"], rtol=1e-6)
        np.testing.assert_array_equal(updates["b"], PARAMS["b"])
    assert len(compiled) == 1
    assert other.inner.reduction == "sum"


def test_replacing_an_array_by_a_number_keeps_an_array():
    compiled = []

    @jax.jit
    def step(tx, state):
        compiled.append(tx)
        return tx.update(PARAMS, state, PARAMS)

    tx = of.adam(jnp.asarray(0.1, jnp.bfloat16), (jnp.asarray(0.9), 0.999))
    state = tx.init(PARAMS)
    step(tx, state)
    other = of.replace_hyperparameters(tx, lr=0.5, betas=(0.5, 0.99))
    step(other, state)
    assert len(compiled) == 1
    found = of.current_hyperparameters(other, state)
    assert found["lr"].dtype == jnp.bfloat16
    assert found["lr"] == 0.5
    assert isinstance(found["betas"][0], jax.Array)
    assert found["betas"] == (0.5, 0.99)
    # Several values at once, as a sweep has them, are kept as they are given.
    swept = of.replace_hyperparameters(tx, lr=jnp.array([0.1, 0.2]))
    assert of.current_hyperparameters(swept, None)["lr"].shape == (2,)
    with pytest.raises(ValueError, match=re.escape("betas[0] must be")):
        of.replace_hyperparameters(tx, betas=(1.5, 0.99))


@pytest.mark.parametrize(
    ("tx", "values", "message"),
    [
        (of.sgd(0.1, 0.9), {"lrr": 1}, r"unknown hyperparameter 'lrr'; known: \["),
        (of.sgd(0.1, 0.9), {"nesterov": True}, "unknown hyperparameter 'nesterov'"),
        (of.sgd(0.1, 0.9), {"lr": -1.0}, "lr must be at least 0, found -1.0"),
        (of.sgd(0.1, 0.9), {"lr": decay}, "lr is 0.1 and cannot become a schedule"),
        (of.masked(of.scale(1.0), True), {"factor": "2"}, "factor must be a number"),
        (
            of.accumulate_gradients(of.sgd(0.1), 2),
            {"every": 0},
            "every must be at least 1, found 0",
        ),
        (of.skip_not_finite(optax.sgd(0.1)), {"lr": 1.0}, r"'lr'; known: \[\]"),
    ],
)
def test_replacing_by_what_does_not_fit(tx, values, message):
    with pytest.raises((ValueError, TypeError), match=message):
        of.replace_hyperparameters(tx, **values)


@pytest.mark.parametrize("alone", [True, False])
def test_a_schedule_is_evaluated_at_the_updates_done(alone):
    build = of.scheduled if alone else of.chain
    tx = build(of.scale(lambda step: 10.0 + jnp.asarray(step, jnp.float32)))
    state = tx.init(PARAMS)
    for t in range(3):
        assert float(of.current_hyperparameters(tx, state)["factor"]) == 10 + t
        updates, state = tx.update(PARAMS, state)
        np.testing.assert_array_equal(updates["w"], (10 + t) * PARAMS["w"])


@pytest.mark.parametrize(
    "build",
    [
        of.clip,
        of.clip_by_global_norm,
        of.clip_by_block_rms,
        of.adaptive_grad_clip,
        of.ema_parameters,
        lambda value: of.add_noise(value, value),
        lambda value: of.momentum(value, value),
        of.add_decayed_weights,
    ],
)
def test_each_block_takes_a_schedule_in_a_chain(build):
    tx = of.chain(build(lambda step: jnp.where(step == 0, 0.25, 0.5)))
    state = tx.init(PARAMS)
    for value in (0.25, 0.5):
        wanted, _ = of.chain(build(value)).update(PARAMS, (state[0].inner,), PARAMS)
        updates, state = tx.update(PARAMS, state, PARAMS)
        jax.tree.map(
            # Python numbers take part in float64 on the host, schedules in float32.
            lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6),
            updates,
            wanted,
        )


def test_a_schedule_inside_counts_the_updates_of_its_own():
    tx = of.accumulate_gradients(of.scale_by_learning_rate(decay), 2)
    # Seven micro-batches are three inner updates.
    found = of.current_hyperparameters(tx, advanced(tx, 7))
    assert float(found["lr"]) == 0.25
    tx = of.conditionally(of.scale(decay), lambda step: step % 3 == 0)
    assert float(of.current_hyperparameters(tx, advanced(tx, 4))["factor"]) == (
        pytest.approx(1 / 3)
    )


def constant(value):
    return lambda step: jnp.asarray(value)


RANGES = {
    "every": (lambda v: of.accumulate_gradients(of.scale(1.0), v), 0, 2),
    "decay": (of.ema_parameters, 1.5, 0.5),
    "start": (of.average_parameters, -1, 3),
    "seed": (lambda v: of.add_noise(0.1, seed=v), -1, 3),
    "eta": (of.add_noise, -0.5, 0.5),
    "gamma": (lambda v: of.add_noise(0.1, v), -0.5, 0.5),
    "max_value": (of.clip, -1.0, 1.0),
    "max_norm": (of.clip_by_global_norm, -1.0, 1.0),
    "threshold": (of.clip_by_block_rms, 0.0, 1.0),
    "clipping": (of.adaptive_grad_clip, 0.0, 1.0),
    "eps": (lambda v: of.adaptive_grad_clip(0.1, v), 0.0, 1.0),
    "patience": (lambda v: of.reduce_on_plateau(patience=v), -1, 3),
    "cooldown": (lambda v: of.reduce_on_plateau(cooldown=v), -1, 3),
    "factor": (lambda v: of.reduce_on_plateau(factor=v), 1.0, 0.5),
    "min_scale": (lambda v: of.reduce_on_plateau(min_scale=v), -0.5, 0.5),
}
FORMS = {
    "number": lambda v: v,
    "array": jnp.asarray,
    "array of NumPy": np.asarray,
    "schedule": constant,
}


@pytest.mark.cheap
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", RANGES)
def test_a_range_is_checked_in_whichever_form_a_number_is_given(name, form):
    build, bad, good = RANGES[name]
    with pytest.raises(ValueError, match=f"^{name} must be .* found {bad}"):
        build(FORMS[form](bad))
    build(FORMS[form](good))
    # What is known only when it runs, and a sweep, are let through.
    jax.jit(lambda v: build(v) and v)(bad)
    build(jnp.asarray([bad, bad]))
    if isinstance(good, int):
        with pytest.raises(TypeError, match=f"^{name} must be .*found 1.5"):
            build(FORMS[form](1.5))


def test_a_schedule_may_use_the_methods_of_an_array():
    of.ema_parameters(lambda step: 0.5 * (step + 1).astype(jnp.float32))
    with pytest.raises(ValueError, match=r"decay must be .* found 2\.0"):
        of.ema_parameters(lambda step: (step + 2).astype(jnp.float32))


def test_checks_let_arrays_tracers_and_schedules_through():
    for value in (0, 0.5, np.float32(0.5), jnp.ones(()), decay):
        check_range("x", value, at_least=0, below=1)
    jax.jit(lambda x: check_range("x", x, above=5))(1.0)
    check_betas((0.9, jnp.ones(())))
    check_betas(jnp.array([0.9, 0.999]))
    check_integer("n", np.int32(3), at_least=3)
    check_choice("mode", "a", ("a", "b"))


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_range("x", 1, below=1), "x must be below 1, found 1"),
        (lambda: check_range("x", 0, above=0), "x must be above 0, found 0"),
        (
            lambda: check_range("x", 2, at_least=0, at_most=1),
            "x must be at least 0 and at most 1, found 2",
        ),
        (lambda: check_range("x", float("nan")), "x must be a number, found nan"),
        (lambda: check_range("x", None), "x must be a number, an array or a schedule"),
        (lambda: check_range("x", "1"), "found '1'"),
        (lambda: check_betas((0.9, 1.0)), r"betas\[1\] must be .* found 1.0"),
        (lambda: check_betas(0.9), "betas must be a pair, found 0.9"),
        (lambda: check_pair("p", "ab"), "p must be a pair, found 'ab'"),
        (lambda: check_pair("p", (1, 2, 3)), "p must be a pair"),
        (lambda: check_integer("n", True, at_least=0), "n must be an integer"),
        (lambda: check_integer("n", 2, at_least=3), "n must be at least 3, found 2"),
        (lambda: check_choice("mode", "c", ("a",)), r"one of \('a',\), found 'c'"),
    ],
)
def test_checks_name_the_argument(check, message):
    with pytest.raises((ValueError, TypeError), match=message):
        check()


def test_plain_hyperparameters_go_through_json():
    tx = of.adamw(jnp.asarray(0.5, jnp.bfloat16), betas=(0.5, jnp.float32(0.75)))
    found = of.current_hyperparameters(tx, tx.init(PARAMS), plain=True)
    assert json.loads(json.dumps(found)) == found
    assert (found["lr"], found["betas"]) == (0.5, [0.5, 0.75])
    tx = of.sgd(decay)  # 1 / (1 + step)
    state = advanced(tx)
    assert of.current_hyperparameters(tx, state, plain=True)["lr"] == 0.25
    assert of.current_hyperparameters(tx, None, plain=True)["lr"] == "decay"


def test_plain_hyperparameters_need_values():
    def loss(lr):
        return of.current_hyperparameters(of.sgd(lr), None, plain=True)["lr"]

    with pytest.raises(TypeError, match="the value of 'lr', found a tracer"):
        jax.jit(loss)(0.1)
