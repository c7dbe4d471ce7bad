"""States and checkpoints: read by optax's names, and exchanged with optax."""

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of
import optifunc.compat.optax as compat

PARAMS = {"w": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.ones(2)}
BUILD = {
    "adamw": lambda o: o.adamw(
        o.linear_schedule(0.1, 0.01, 10), mask={"w": True, "b": False}
    ),
    "lion": lambda o: o.chain(o.clip(1.0), o.lion(1e-2)),
    "parts": lambda o: o.multi_transform(
        {"x": o.sgd(0.1, 0.9), "y": o.rmsprop(0.1)}, {"w": "x", "b": "y"}
    ),
    "injected": lambda o: o.inject_hyperparams(o.adam)(0.1),
    "accumulated": lambda o: o.MultiSteps(o.adam(0.1), 2),
}


def steps(tx, params, state, count=3):
    for i in range(count):
        grads = jax.tree.map(lambda p, i=i: p * (i + 1) / 4, params)
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params, state


@pytest.fixture(autouse=True)
def promotion():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def as_is(state):
    return state


def as_msgpack(state):
    data = flax.serialization.to_bytes(state)
    return flax.serialization.msgpack_restore(data)


def as_lists(state):
    """As Orbax restores without a target: dicts and lists of arrays."""
    if hasattr(state, "_fields"):
        return {name: as_lists(getattr(state, name)) for name in state._fields}
    if isinstance(state, dict):
        return {key: as_lists(value) for key, value in state.items()}
    if isinstance(state, tuple):
        return [as_lists(value) for value in state]
    return np.asarray(state)


@pytest.mark.parametrize("stored", [as_is, as_msgpack, as_lists])
@pytest.mark.parametrize("name", BUILD)
def test_a_run_of_optax_goes_on_here_and_back(name, stored):
    ours, theirs = BUILD[name](compat), BUILD[name](optax)
    params, state = steps(theirs, PARAMS, theirs.init(PARAMS))
    expected, _ = steps(theirs, params, state)
    here = compat.from_optax_state(ours, stored(state), PARAMS)
    found, here_after = steps(ours, params, here)
    for key in PARAMS:
        np.testing.assert_allclose(found[key], expected[key], 1e-6, 3e-6)
    back = compat.to_optax_state(theirs, stored(here), PARAMS)
    assert jax.tree.structure(back) == jax.tree.structure(state)
    for x, y in zip(jax.tree.leaves(back), jax.tree.leaves(state), strict=True):
        np.testing.assert_array_equal(x, y)
    assert jax.tree.structure(here_after) == jax.tree.structure(here)


def test_a_checkpoint_of_another_optimizer_is_refused():
    state = optax.sgd(0.1, 0.9).init(PARAMS)
    with pytest.raises(ValueError, match="nothing for 'count'"):
        compat.from_optax_state(compat.adam(0.1), state, PARAMS)
    other = {"w": jnp.ones(3), "b": jnp.ones(2)}
    with pytest.raises(ValueError, match="shape"):
        compat.from_optax_state(compat.adam(0.1), optax.adam(0.1).init(other), PARAMS)


def test_what_is_built_is_a_value():
    """Leaves, no recompilation, vmap, equality, and the library's own tools."""
    tx = compat.chain(compat.clip_by_global_norm(1.0), compat.adamw(0.1))
    assert tx == compat.chain(compat.clip_by_global_norm(1.0), compat.adamw(0.1))
    count = 0

    @jax.jit
    def first_step(tx):
        nonlocal count
        count += 1
        return tx.update(PARAMS, tx.init(PARAMS), PARAMS)[0]

    for rate in (0.1, 0.2):
        first_step(of.replace_hyperparameters(tx, lr=rate))
    assert count == 1
    swept = of.replace_hyperparameters(tx, lr=jnp.array([0.1, 0.2]))
    axes = jax.tree.map(lambda x: 0 if jnp.ndim(x) else None, swept)
    both = jax.vmap(lambda t: t.update(PARAMS, t.init(PARAMS), PARAMS)[0], (axes,))(
        swept
    )
    one = first_step(of.replace_hyperparameters(tx, lr=0.2))
    np.testing.assert_allclose(both["w"][1], one["w"], rtol=1e-6)
    assert of.find_in_state(tx.init(PARAMS), "mu").keys() == PARAMS.keys()
    assert "exp_avg" in str(of.describe(tx, PARAMS)) or of.describe(tx, PARAMS)


def test_the_pair():
    tx = compat.adam(0.1)
    assert isinstance(tx, compat.GradientTransformation)
    assert isinstance(tx, compat.GradientTransformationExtraArgs)
    assert (tx[0], tx[1]) == tuple(tx) == (tx.init, tx.update)
    other = tx._replace(update=lambda g, s, p=None: (g, s))
    assert type(other) is type(tx)
    assert other.update(PARAMS, tx.init(PARAMS))[0] is PARAMS
    tx.schedule = "a note"
    assert tx.schedule == "a note"
    with pytest.raises(AttributeError, match="_replace"):
        tx.update = None


def test_a_foreign_state_is_refused():
    with pytest.raises(ValueError, match="scale_by_adam"):
        compat.scale_by_adam().update(PARAMS, compat.EmptyState(), PARAMS)


def test_optaxs_own_takes_and_gives_this_modules_transformations():
    tx = compat.contrib.split_real_and_imaginary(compat.sgd(0.1))
    assert isinstance(tx, compat.GradientTransformation)
    updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    np.testing.assert_allclose(updates["w"], -0.1 * PARAMS["w"], rtol=1e-6)


def test_tree_set_and_filters():
    tx = compat.chain(compat.adam(0.1), compat.trace(0.9))
    state = tx.init(PARAMS)
    both = compat.adam(0.1).init(PARAMS), compat.adamw(0.1).init(PARAMS)
    with pytest.raises(KeyError, match="2 times"):
        compat.tree.get(both, "count")
    assert len(compat.tree.get_all_with_path(both, "count")) == 2
    assert compat.tree.get(state, "nothing", default=3) == 3
    first = compat.tree.get(both, "count", filtering=lambda path, _: path[0].idx == 0)
    assert first == 0
    new = compat.tree.set(state, count=jnp.asarray(7))
    assert compat.tree.get(new, "count") == 7
    with pytest.raises(KeyError, match="nothing"):
        compat.tree.set(state, nothing=1)
    assert compat.tree.get(state, "TraceState").trace.keys() == PARAMS.keys()
