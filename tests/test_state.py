"""State: which part belongs to which parameter, where it lies, how it is found."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of
from optifunc._state import (
    Role,
    declared_roles,
    map_state,
    parts_of,
    state_fields,
)

from .table import ROWS

PARAMS = {"w": jnp.arange(6.0).reshape(2, 3), "b": [jnp.ones(3), None]}


class Own(NamedTuple):
    """A user's state: its mean is common to all, its ``mu`` is not torch's."""

    step: of.Shared
    mu: of.PerParameter
    floor: of.NonNegative | None
    note: of.Shared


class Undeclared(NamedTuple):
    mu: dict
    count: jax.Array


def by_role(state, params=PARAMS):
    """The names of the fields, apart by whether they are per parameter."""
    fields = [field for field, _ in state_fields(state, params)]
    per = {f.name for f in fields if f.role.is_per_parameter}
    return per, {f.name for f in fields} - per


def promoted(build):
    with jax.numpy_dtype_promotion("standard"):  # which optax counts on
        return build()


# --- roles ----------------------------------------------------------------------------


def test_a_field_declares_its_role():
    roles = declared_roles(of.ScaleByAdamState)
    assert roles == {
        "step": Role.SHARED,
        "exp_avg": Role.PER_PARAMETER,
        "exp_avg_sq": Role.NON_NEGATIVE,
        "max_exp_avg_sq": Role.NON_NEGATIVE,
    }
    assert declared_roles(of.MomentumState)["momentum_buffer"] is Role.RESTARTING
    # What holds another state is entered; states from elsewhere declare nothing.
    assert declared_roles(of.AccumulationState)["inner"] is None
    assert not declared_roles(optax.ScaleByAdamState)
    assert not declared_roles(tuple)


OURS = [
    (of.adam(), {"exp_avg", "exp_avg_sq"}, {"step"}),
    (of.adam(amsgrad=True), {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}, {"step"}),
    (
        of.accumulate_gradients(of.sgd(0.1, 0.9), 2),
        {"accumulated", "momentum_buffer"},
        {"micro_step", "step"},
    ),
    (of.ema_parameters(), {"average"}, {"step", "weight"}),
    (
        of.flatten(of.chain(a=of.adam(), b=of.ema_parameters())),
        {"exp_avg", "exp_avg_sq", "average"},
        {"step", "weight"},
    ),
    (
        of.masked(of.adam(), {"w": True, "b": False}),
        {"exp_avg", "exp_avg_sq"},
        {"step"},
    ),
    (of.skip_not_finite(of.scale(2.0)), set(), {"skipped", "consecutive"}),
    (
        of.chain(of.scale(lambda step: 2.0), of.reduce_on_plateau()),
        set(),
        {"step", "scale", "best", "num_bad_epochs", "cooldown_counter"}
        | {"total", "losses"},
    ),
]


@pytest.mark.parametrize(("tx", "per_parameter", "shared"), OURS)
def test_the_fields_of_our_states(tx, per_parameter, shared):
    assert by_role(tx.init(PARAMS)) == (per_parameter, shared)


THEIRS = [
    (lambda: optax.adam(0.1), {"mu", "nu"}, {"count"}),
    (
        lambda: optax.MultiSteps(optax.adam(0.1), 2),
        {"mu", "nu", "acc_grads"},
        {"count", "mini_step", "gradient_step"},
    ),
    (
        lambda: optax.inject_hyperparams(optax.adam)(0.1),
        {"mu", "nu"},
        {"count", "learning_rate", "b1", "b2", "eps", "eps_root"},
    ),
    (
        lambda: optax.masked(optax.adam(0.1), {"w": True, "b": [False, None]}),
        {"mu", "nu"},
        {"count"},
    ),
]


@pytest.mark.parametrize(("build", "per_parameter", "shared"), THEIRS)
def test_the_fields_of_optaxs_states(build, per_parameter, shared):
    state = promoted(lambda: build().init(PARAMS))
    assert by_role(state) == (per_parameter, shared)


def test_factors_of_optaxs_adafactor_are_no_arrays_of_the_parameters():
    # Its rows and columns have other shapes than the parameters, its v has theirs.
    params = {"w": jnp.ones((256, 128)), "b": jnp.ones(3)}
    state = optax.scale_by_factored_rms().init(params)
    doubled = map_state(
        lambda field, x: (
            jax.tree.map(lambda y: y + 1, x) if field.role.is_per_parameter else x
        ),
        state,
        params,
    )
    assert jax.tree.structure(doubled) == jax.tree.structure(state)
    for name in ("v_row", "v_col", "count"):
        jax.tree.map(
            np.testing.assert_array_equal, getattr(doubled, name), getattr(state, name)
        )


def test_a_field_called_mu_is_what_its_type_and_not_its_name_says():
    trees = {"w": jnp.ones((2, 3)), "b": [jnp.ones(3), None]}
    state = Own(jnp.zeros(()), trees, None, jnp.ones(2))
    # A field of None is not there.
    assert by_role(state) == ({"mu"}, {"step", "note"})
    # A dict that is not like the parameters is entered: its parts are shared.
    table = Undeclared({"x": jnp.ones(2), "y": jnp.ones(3)}, jnp.zeros((), jnp.int32))
    assert by_role(table) == (set(), {"x", "y", "count"})
    assert by_role(Undeclared(trees, jnp.zeros(()))) == ({"mu"}, {"count"})


@pytest.mark.parametrize(
    "params", [jnp.ones((2, 3)), jnp.ones(()), {"a": jnp.ones(())}]
)
@pytest.mark.parametrize("build", [of.adam, lambda: optax.adam(0.1)])
def test_parameters_that_are_one_array_or_one_number(params, build):
    state = promoted(lambda: build().init(params))
    per, shared = by_role(state, params)
    assert per in ({"exp_avg", "exp_avg_sq"}, {"mu", "nu"})
    assert shared in ({"step"}, {"count"})


@pytest.mark.parametrize("params", [None, {}, {"a": None}, ()])
def test_parameters_without_leaves(params):
    for tx in (of.adam(), optax.adam(0.1), of.flatten(of.adam())):
        state = tx.init(params)
        same = map_state(lambda field, value: value, state, params)
        assert jax.tree.leaves(same) == jax.tree.leaves(state)


def test_a_value_has_a_part_for_each_parameter():
    state = of.masked(of.adam(), {"w": True, "b": False}).init(PARAMS)
    fields = {f.name: value for f, value in state_fields(state, PARAMS)}
    # In the order of the leaves: b.0, w.
    nothing, moment = parts_of(fields["exp_avg"], PARAMS)
    assert nothing is None
    assert moment.shape == (2, 3)


# --- mapping over a state -------------------------------------------------------------


@pytest.mark.cheap
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_mapping_reaches_each_array_once_and_keeps_the_structure(row):
    params = {"kernel": jnp.linspace(-0.9, 1.0, 12).reshape(4, 3)}
    state = row.build().init(params)
    structure = jax.tree.structure(state)
    seen: list[Any] = []

    def record(field, value):
        seen.append(value)
        return jax.tree.map(lambda x: x + x, value)

    found = map_state(record, state, params)
    assert jax.tree.structure(found) == structure
    for one, other in zip(*map(jax.tree.leaves, (found, state)), strict=True):
        np.testing.assert_array_equal(one, other + other)
    # Vectors of `flatten` are seen as the parts that they are made of.
    sizes = [sum(x.size for x in jax.tree.leaves(tree)) for tree in (seen, state)]
    assert sizes[0] == sizes[1]


@pytest.mark.slow
def test_roles_say_what_may_not_be_negative():
    params = {"kernel": jnp.linspace(-0.9, 1.0, 12).reshape(4, 3)}
    for row in ROWS:
        tx = row.build()
        state = tx.init(params)
        roles = {field.role for field, _ in state_fields(state, params)}
        if Role.NON_NEGATIVE not in roles:
            continue
        update = jax.jit(
            lambda g, s, tx=tx, row=row: tx.update(g, s, params, **row.extra(params))
        )
        for _ in range(2):
            _, state = update(row.gradient(params), state)
        for field, value in state_fields(state, params):
            if field.role is Role.NON_NEGATIVE:
                assert all(np.all(x >= 0) for x in jax.tree.leaves(value)), field


# --- joined states --------------------------------------------------------------------


@pytest.mark.parametrize("max_size", [None, 3])
@pytest.mark.parametrize(
    "inner", [of.adam(amsgrad=True), optax.adam(0.1), of.masked(of.adam(), True)]
)
def test_spread_and_gathered_are_inverse(inner, max_size):
    params = {
        "w": jnp.arange(6.0).reshape(2, 3),
        "half": jnp.ones(2, jnp.bfloat16),
        "b": [jnp.ones(3), None],
        "s": jnp.ones(()),
    }
    tx = of.flatten(inner, max_size)
    state = tx.init(params)
    grads = jax.tree.map(lambda p: p + 1, params)
    with jax.numpy_dtype_promotion("standard"):  # which optax counts on
        for _ in range(2):
            _, state = tx.update(grads, state, params)
    spread = state.spread()
    back = state.gathered(spread)
    assert jax.tree.structure(back) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, back, state)
    # What is spread out is the state without `flatten`, which sees the same numbers.
    alone = of.chain(inner).members[0]
    wanted = alone.init(params)
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(2):
            _, wanted = alone.update(grads, wanted, params)
    assert jax.tree.structure(spread) == jax.tree.structure(wanted)
    jax.tree.map(
        lambda x, y: (
            np.testing.assert_allclose(
                np.float64(x), np.float64(y), rtol=float(jnp.finfo(jnp.bfloat16).eps)
            )
            if jnp.issubdtype(x.dtype, jnp.floating)
            else np.testing.assert_array_equal(x, y)
        ),
        spread,
        wanted,
    )


# --- looking for parts ----------------------------------------------------------------


def test_parts_are_found_by_name_and_type():
    tx = of.chain(clip=of.clip(1.0), decoder=of.chain(of.masked(of.adam(), True)))
    state = tx.init(PARAMS)
    adam = state["decoder"][0].inner[0]
    assert type(adam) is of.ScaleByAdamState
    assert of.find_in_state(state, of.ScaleByAdamState) is adam
    for name in ("exp_avg", "decoder.exp_avg", "decoder.0.inner.0.exp_avg"):
        assert of.find_in_state(state, name) is adam.exp_avg
    assert of.find_in_state(state, "decoder") is state["decoder"]
    assert of.find_all_in_state(state, "exp_avg") == {
        "decoder.0.inner.0.exp_avg": adam.exp_avg
    }


def test_what_occurs_several_times_is_listed():
    tx = of.chain(a=of.adam(), b=of.adam(), c=of.sgd(0.1, 0.9))
    state = tx.init(PARAMS)
    found = of.find_all_in_state(state, "exp_avg")
    assert list(found) == ["a.0.exp_avg", "b.0.exp_avg"]
    with pytest.raises(KeyError, match=r"'exp_avg' occurs 2 times .*'a\.0\.exp_avg'"):
        of.find_in_state(state, "exp_avg")
    with pytest.raises(KeyError, match="'ScaleByAdamState' occurs 2 times"):
        of.find_in_state(state, of.ScaleByAdamState)
    assert of.find_in_state(state, "b.exp_avg") is state["b"][0].exp_avg
    # Twins in a chain are told apart by their positions alone.
    twins = of.chain(of.momentum(0.9), of.momentum(0.5)).init(PARAMS)
    found = of.find_in_state(twins, "1.momentum_buffer")
    assert found is twins[1].momentum_buffer


def test_what_is_missing_is_named():
    state = of.adam().init(PARAMS)
    with pytest.raises(KeyError, match=r"'mu' does not occur .*'exp_avg'"):
        of.find_in_state(state, "mu")
    with pytest.raises(KeyError, match="'MomentumState' does not occur"):
        of.find_in_state(state, of.MomentumState)
    assert of.find_all_in_state(state, "mu") == {}
    assert of.find_all_in_state((), "mu") == {}


def test_parts_of_optaxs_states_are_found():
    tx = optax.chain(optax.clip(1.0), optax.MultiSteps(optax.adam(0.1), 2))
    state = promoted(lambda: tx.init(PARAMS))
    adam = of.find_in_state(state, optax.ScaleByAdamState)
    assert of.find_in_state(state, "mu") is adam.mu
    assert of.find_in_state(state, "nu") is optax.tree.get(state, "nu")
    mixed = of.chain(of.masked(optax.adam(0.1), {"w": True, "b": False}))
    state = promoted(lambda: mixed.init(PARAMS))
    assert of.find_in_state(state, "mu")["w"].shape == (2, 3)


def test_it_works_inside_jit():
    tx = of.flatten(of.adam())

    @jax.jit
    def count(state):
        return of.find_in_state(state, "step")

    assert int(count(tx.init(PARAMS))) == 0


# --- where a state lies ---------------------------------------------------------------


def start(row, device=None):
    params = {"kernel": jnp.linspace(-0.9, 1.0, 12).reshape(4, 3)}
    if not row.matrices:
        params |= {"bias": jnp.ones((2, 2)) if row.sparse else jnp.ones(3)}
    if not row.matrices and not row.sparse:
        params |= {"scalar": jnp.ones(())}
    return params if device is None else jax.device_put(params, device)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_state_is_committed_where_its_parameters_are(row):
    """As a later step may move what is not committed, and only that."""
    tx = row.build()
    state = tx.init(start(row))
    assert not any(x.committed for x in jax.tree.leaves(state))

    device = jax.devices()[1]
    params = start(row, device)
    state = tx.init(params)
    for field, value in state_fields(state, params):
        for leaf in jax.tree.leaves(value):
            if field.role.is_per_parameter:
                assert leaf.committed, field
                assert leaf.devices() == {device}, field
            elif field.role is Role.SHARED:
                assert not leaf.committed, field
    # And so a step may take all of it together.
    updates, _ = jax.jit(lambda g, s, p: tx.update(g, s, p, **row.extra(p)))(
        row.gradient(params), state, params
    )
    assert all(x.devices() == {device} for x in jax.tree.leaves(updates) if x.committed)
