"""Extra arguments: which are accepted, which are misspelled, and who sees what."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

from .table import ROWS, loss

PARAMS = {"x": jnp.array([1.0, -2.0]), "y": jnp.array([[0.5, 3.0]])}
GRADS = jax.tree.map(lambda p: 0.5 * p, PARAMS)
LABELS = {"x": "x", "y": "y"}


def update(tx, **extra):
    return tx.update(GRADS, tx.init(PARAMS), PARAMS, **extra)


# --- names ----------------------------------------------------------------------------


def reads_scores(updates, state, params=None, *, scores=None, **extra):
    return updates, state


def theirs():
    return optax.GradientTransformationExtraArgs(lambda params: (), reads_scores)


MISSPELLED = {
    "plateau": (of.chain(of.sgd(0.1), of.reduce_on_plateau()), "vlaue", "value"),
    "lbfgs": (of.lbfgs(), "value_fm", "value_fn"),
    "lbfgs, chained": (of.chain(of.clip(1.0), of.lbfgs()), "valuefn", "value_fn"),
    "in a partition": (
        of.partition({"x": of.lbfgs(), "y": of.adam()}, LABELS),
        "value_fnn",
        "value_fn",
    ),
    "in a mask": (of.masked(of.reduce_on_plateau(), True), "valeu", "value"),
    "in a wrapper": (
        of.skip_not_finite(of.accumulate_gradients(of.reduce_on_plateau(), 2)),
        "vlaue",
        "value",
    ),
    "of optax": (of.chain(theirs()), "score", "scores"),
    "of optax, masked": (of.masked(theirs(), True), "scorse", "scores"),
}


@pytest.mark.parametrize("name", MISSPELLED)
def test_a_misspelled_argument_is_told_what_was_meant(name):
    tx, given, meant = MISSPELLED[name]
    with pytest.raises(TypeError, match=f"'{given}'.*did you mean '{meant}'"):
        update(tx, **{given: jnp.ones(())})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_one_training_loop_serves_all(row):
    """With all that some transformation reads, and what none has heard of."""
    params = {"kernel": jnp.linspace(-0.9, 1.0, 12).reshape(4, 3)}
    tx, grads = row.build(), row.gradient(params)
    dense = jax.tree.map(lambda p: 0.5 * p + 0.1, params)
    state = tx.init(params)
    needed = row.extra(params)
    if row.value_fn:
        needed["value"] = loss(params)  # optional, and read
    given = {
        "value": loss(params),
        "grad": dense,
        "value_fn": loss,
        "grad_fn": lambda params, i: row.gradient(params),
        "sampled_grad": dense,
        "max_logits": {},
        "batch": jnp.ones((2, 3)),
        "name": "first",
    }
    found = tx.update(grads, state, params, **given)
    wanted = tx.update(grads, state, params, **needed)
    # What it does not read changes nothing.
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


def test_arguments_of_other_transformations_are_near_misses_of_none():
    # ``values`` is near ``value``, but clip reads nothing that it could stand for.
    for extra in ("values", "gard", "keys"):
        update(of.clip(1.0), **{extra: 1.0})
        update(of.chain(of.adam(), optax.clip(1.0)), **{extra: 1.0})


def test_what_is_required_stays_loud():
    for tx in (
        of.chain(of.reduce_on_plateau()),
        of.masked(of.reduce_on_plateau(), True),
        of.partition({"x": of.reduce_on_plateau(), "y": of.adam()}, LABELS),
    ):
        with pytest.raises(TypeError, match="'value'"):
            update(tx)
    with pytest.raises((TypeError, ValueError), match="value_fn"):
        update(of.partition({"x": of.lbfgs(), "y": of.adam()}, LABELS))


# --- functions of a part of the parameters --------------------------------------------


def coupled(params):
    """A loss whose minimum in ``x`` depends on ``y``, and is not reached at once."""
    x, y = params["x"], params["y"].reshape(2)
    return jnp.sum((x - y) ** 2 * jnp.array([1.0, 3.0], x.dtype)) + jnp.sum(x**4) / 9


def steps(tx, params, function):
    """Three steps that are given the loss, its gradient and the function."""

    def step(carry, _):
        params, state = carry
        value, grads = jax.value_and_grad(function)(params)
        given: dict[str, Any] = {"value": value, "grad": grads, "value_fn": function}
        updates, state = tx.update(grads, state, params, **given)
        return (of.apply_updates(params, updates), state), None

    return jax.jit(
        lambda params: jax.lax.scan(step, (params, tx.init(params)), length=3)[0][0]
    )(params)


@pytest.fixture
def wide(x64):
    return jax.tree.map(lambda p: p.astype(jnp.float64), PARAMS)


def searches():
    return {
        "lbfgs": of.lbfgs(),
        "lbfgs_strong_wolfe": of.lbfgs(line_search_fn="strong_wolfe"),
        "zoom": of.chain(of.scale_by_lbfgs(), of.scale_by_zoom_linesearch()),
        "backtracking": of.chain(
            of.momentum(0.5), of.scale_by_backtracking_linesearch(store_grad=True)
        ),
        "optax_zoom": optax.lbfgs(),
        "optax_backtracking": optax.chain(
            optax.sgd(0.5), optax.scale_by_backtracking_linesearch(10)
        ),
    }


@pytest.mark.slow
@pytest.mark.parametrize("search", searches())
def test_a_line_search_over_a_part_holds_the_rest_where_it_is(search, wide):
    """The same as the search alone over ``x``, with ``y`` as a constant."""
    inner = searches()[search]

    def of_x(x):
        return coupled({"x": x, "y": wide["y"]})

    with jax.numpy_dtype_promotion("standard"):  # which optax counts on
        wanted = steps(inner, wide["x"], of_x)
        freezing = of.partition({"x": inner, "y": of.set_to_zero()}, LABELS)
        frozen = of.chain(
            of.masked(inner, {"x": True, "y": False}),
            of.masked(of.set_to_zero(), {"x": False, "y": True}),
        )
        joined = of.partition({"x": of.flatten(inner), "y": of.set_to_zero()}, LABELS)
        for tx in (freezing, frozen, joined):
            found = steps(tx, wide, coupled)
            # The same operations in float64, on a leaf in a tree.
            np.testing.assert_allclose(found["x"], wanted, rtol=1e-12)
            np.testing.assert_array_equal(found["y"], wide["y"])


def test_a_line_search_beside_another_optimizer(wide):
    """Each in turn as alone: L-BFGS on ``x`` at the present ``y``, Adam on ``y``."""
    tx = of.partition({"x": of.lbfgs(), "y": of.adam(0.1)}, LABELS)
    found = steps(tx, wide, coupled)

    lbfgs, adam = of.lbfgs(), of.adam(0.1)

    @jax.jit
    def step(x, y, state_x, state_y):
        def of_x(x):
            return coupled({"x": x, "y": y})

        slope = jax.grad(lambda y: coupled({"x": x, "y": y}))(y)
        step_x, state_x = lbfgs.update(jax.grad(of_x)(x), state_x, x, value_fn=of_x)
        step_y, state_y = adam.update(slope, state_y, y)
        return x + step_x, y + step_y, state_x, state_y

    x, y = wide["x"], wide["y"]
    state_x, state_y = lbfgs.init(x), adam.init(y)
    for _ in range(3):
        x, y, state_x, state_y = step(x, y, state_x, state_y)
    np.testing.assert_allclose(found["x"], x, rtol=1e-12)
    np.testing.assert_allclose(found["y"], y, rtol=1e-12)


def test_a_tree_like_the_parameters_is_restricted_and_a_loss_is_not():
    seen = {}

    def record(updates, state, params=None, *, grad, value, value_fn, grad_fn, **extra):
        seen.update(
            grad=grad, value=value, of_fn=value_fn(params), of_grad=grad_fn(params)
        )
        seen.update(extra)
        return updates, state

    tx = of.masked(
        optax.GradientTransformationExtraArgs(lambda params: (), record),
        {"x": True, "y": False},
    )
    batch = jnp.ones((2, 2))
    update(
        tx,
        value=jnp.float32(3),
        grad=GRADS,
        value_fn=coupled,
        grad_fn=jax.value_and_grad(coupled),
        batch=batch,
        note="first",
    )
    assert seen["grad"] == {"x": GRADS["x"], "y": None}
    assert float(seen["value"]) == 3.0
    wanted, slope = jax.value_and_grad(coupled)(PARAMS)
    np.testing.assert_allclose(seen["of_fn"], wanted)
    # What a function returns is restricted likewise: here a loss and a gradient.
    np.testing.assert_allclose(seen["of_grad"][0], wanted)
    np.testing.assert_allclose(seen["of_grad"][1]["x"], slope["x"])
    assert seen["of_grad"][1]["y"] is None
    assert seen["batch"] is batch
    assert seen["note"] == "first"


def test_a_loss_stays_a_number_where_the_parameters_are_one_too():
    """A scalar parameter has the structure and the shape of its loss."""
    seen = {}

    def record(updates, state, params=None, *, value, grad):
        seen.update(value=value, grad=grad)
        return updates, state

    inner = optax.GradientTransformationExtraArgs(lambda params: (), record)
    x = jnp.float32(2.0)
    tx = of.partition({"all": inner, "none": of.adam()}, lambda path, leaf: "all")
    tx.update(x, tx.init(x), x, value=jnp.float32(7.0), grad=x)
    assert (float(seen["value"]), float(seen["grad"])) == (7.0, 2.0)
    tx = of.flatten(inner)
    tx.update(x, tx.init(x), x, value=jnp.float32(7.0), grad=x)
    assert float(seen["value"]) == 7.0
    np.testing.assert_array_equal(seen["grad"]["vectors"]["float32"], [2.0])
