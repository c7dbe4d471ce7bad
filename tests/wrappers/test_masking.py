"""Masks and labels: what is selected, what is seen, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of
from optifunc.wrappers._masked import MaskedState
from optifunc.wrappers._selection import Selector

PARAMS = {
    "encoder": [
        {"kernel": jnp.full((2, 3), 2.0), "bias": jnp.full((3,), 3.0)},
        {"kernel": jnp.full((3, 3), 4.0), "bias": None},
    ],
    "head": jnp.full((3,), 5.0),
}
GRADS = jax.tree.map(jnp.ones_like, PARAMS)
KERNELS = {"encoder": [{"bias": False, "kernel": True}] * 2, "head": False}


def is_kernel(path, leaf):
    return path.endswith("kernel")


def is_matrix(path, leaf):
    return leaf.ndim == 2


def updates_of(tx, grads=GRADS, params=PARAMS, **extra):
    return tx.update(grads, tx.init(params), params, **extra)[0]


def expected(kernel, rest):
    """GRADS with the kernels multiplied by one number and the rest by another."""
    encoder = [
        {"kernel": jnp.full((2, 3), kernel), "bias": jnp.full((3,), rest)},
        {"kernel": jnp.full((3, 3), kernel), "bias": None},
    ]
    return {"encoder": encoder, "head": jnp.full((3,), rest)}


def assert_equal(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


class recorder:
    """Doubles; records the trees that it is shown, and the extra arguments."""

    def __init__(self):
        self.seen = []

    def init(self, params):
        self.seen.append(params)
        return of.momentum(0.5).init(params)

    def update(self, updates, state, params=None, **extra):
        self.seen += [updates, params, extra]
        return jax.tree.map(lambda g: 2 * g, updates), state


@pytest.mark.parametrize("mask", [KERNELS, is_kernel, is_matrix])
def test_masked_shows_none_for_what_is_not_selected(mask):
    inner = recorder()
    tx = of.masked(inner, mask)
    state = tx.init(PARAMS)
    assert isinstance(state, MaskedState)
    updates, new_state = tx.update(GRADS, state, PARAMS, value=3.0)
    assert_equal(updates, expected(2.0, 1.0))
    assert isinstance(new_state, MaskedState)
    at_init, seen_updates, seen_params, extra = inner.seen
    assert extra == {"value": 3.0}
    for tree in (at_init, seen_updates, seen_params, state.inner.momentum_buffer):
        assert tree["head"] is None
        assert tree["encoder"][0]["bias"] is None
        assert tree["encoder"][0]["kernel"].shape == (2, 3)
    # A mask of paths and dimensions needs no parameters at update.
    assert_equal(tx.update(GRADS, state)[0], expected(2.0, 1.0))


def test_a_mask_may_be_a_prefix_of_the_parameters():
    found = updates_of(of.masked(of.scale(2.0), {"encoder": True, "head": False}))
    wanted = jax.tree.map(lambda g: 2 * g, GRADS) | {"head": GRADS["head"]}
    assert_equal(found, wanted)
    assert_equal(updates_of(of.masked(of.scale(2.0), True))["head"], 2 * GRADS["head"])


def test_a_transformation_with_a_mask_is_a_value():
    equal = [of.masked(of.scale(2.0), dict(KERNELS)) for _ in range(2)]
    assert jax.tree.structure(equal[0]) == jax.tree.structure(equal[1])
    assert hash(equal[0].mask) == hash(equal[1].mask)
    other = of.masked(of.scale(2.0), KERNELS | {"head": True})
    assert jax.tree.structure(equal[0]) != jax.tree.structure(other)
    assert repr(equal[0]) == f"masked(inner=scale(factor=2.0), mask={KERNELS!r})"

    compiled = []

    @jax.jit
    def step(tx, state):
        compiled.append(tx)
        return tx.update(GRADS, state, PARAMS)

    for tx in (*equal, of.masked(of.scale(4.0), KERNELS)):
        state = tx.init(PARAMS)
        assert_equal(step(tx, state), tx.update(GRADS, state, PARAMS))
    assert len(compiled) == 1
    assert_equal(step(other, other.init(PARAMS))[0]["head"], 2 * GRADS["head"])
    assert len(compiled) == 2


def test_partition_gives_each_leaf_the_transformation_of_its_label():
    def labels(path, leaf):
        return "head" if path == "head" else "kernel" if is_kernel(path, leaf) else "no"

    inner = recorder()
    tx = of.partition(
        {"head": of.scale(7.0), "kernel": inner, "no": of.set_to_zero()}, labels
    )
    state = tx.init(PARAMS)
    assert type(state) is dict
    assert state.keys() == {"head", "kernel", "no"}
    updates, new_state = tx.update(GRADS, state, PARAMS, value=1.0)
    wanted = expected(2.0, 0.0) | {"head": jnp.full((3,), 7.0)}
    assert_equal(updates, wanted)
    assert inner.seen[-1] == {"value": 1.0}
    assert inner.seen[1]["head"] is None
    assert jax.tree.structure(new_state) == jax.tree.structure(state)

    as_tree = {
        "encoder": [{"kernel": "kernel", "bias": "no"}] * 2,
        "head": "head",
    }
    same = of.partition(dict(tx.transformations), as_tree)
    assert isinstance(same.labels, Selector)
    assert_equal(updates_of(same), wanted)
    assert_equal(
        jax.jit(lambda tx: updates_of(tx))(of.partition({"all": of.scale(2.0)}, "all")),
        expected(2.0, 2.0),
    )


def test_partition_is_optaxs_over_several_steps():
    labels = {"encoder": "adam", "head": "sgd"}
    ours = of.partition({"adam": of.adam(0.1), "sgd": of.sgd(0.1, 0.9)}, labels)
    theirs = optax.partition(
        {"adam": optax.adam(0.1), "sgd": optax.sgd(0.1, 0.9)}, labels
    )
    mixed = of.partition({"adam": optax.adam(0.1), "sgd": optax.sgd(0.1, 0.9)}, labels)

    def train(tx):
        def step(carry, _):
            params, state = carry
            grads = jax.tree.map(lambda p: p * jnp.cos(p), params)
            updates, state = tx.update(grads, state, params)
            return (of.apply_updates(params, updates), state), None

        # optax promotes dtypes implicitly.
        with jax.numpy_dtype_promotion("standard"):
            return jax.lax.scan(step, (PARAMS, tx.init(PARAMS)), length=5)[0][0]

    wanted = train(theirs)
    for tx in (ours, mixed):
        # Adam's bias corrections differ in the last digits of float32.
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-6), train(tx), wanted
        )


def test_freezing_leaves_no_state_and_no_trace():
    tx = of.partition(
        {"train": of.adamw(0.1), "freeze": of.set_to_zero()},
        lambda path, leaf: "freeze" if path.startswith("encoder.0") else "train",
    )
    state = tx.init(PARAMS)
    # Two moments for each of the two trained leaves, and a step.
    assert len(jax.tree.leaves(state)) <= 2 * 2 + 2
    updates, _ = tx.update(GRADS, state, PARAMS)
    moved = of.apply_updates(PARAMS, updates)
    assert_equal(moved["encoder"][0], PARAMS["encoder"][0])
    assert np.all(moved["head"] != PARAMS["head"])


def test_masks_and_partitions_nest():
    inner = of.partition(
        {"a": of.scale(2.0), "b": of.scale(3.0)},
        lambda path, leaf: "a" if path.startswith("encoder.0") else "b",
    )
    found = updates_of(of.masked(of.masked(inner, is_kernel), KERNELS))
    wanted = expected(2.0, 1.0)
    wanted["encoder"][1]["kernel"] = jnp.full((3, 3), 3.0)
    assert_equal(found, wanted)
    # A tree mask inside fits the tree with None in it.
    inside = of.partition(
        {"x": of.masked(of.scale(2.0), KERNELS), "y": of.set_to_zero()},
        lambda path, leaf: "y" if path == "head" else "x",
    )
    assert_equal(updates_of(inside), expected(2.0, 1.0) | {"head": jnp.zeros(3)})


def test_sparse_updates_count_as_leaves():
    params = {"table": jnp.ones((3, 2)), "w": jnp.ones(2)}
    rows = BCOO((jnp.ones((1, 2)), jnp.array([[1]])), shape=(3, 2))
    grads = {"table": rows, "w": jnp.ones(2)}
    labels = {"table": "sparse", "w": "dense"}
    tx = of.partition({"sparse": of.scale(2.0), "dense": of.momentum(0.9)}, labels)
    masked = of.masked(of.momentum(0.9), lambda path, leaf: path == "w")
    for some_params in (params, None):
        updates, _ = tx.update(grads, tx.init(params), some_params)
        np.testing.assert_array_equal(updates["table"].todense()[:, 0], [0, 2, 0])
        updates, _ = masked.update(grads, masked.init(params), some_params)
        assert updates["table"] is rows


def test_a_tree_without_leaves_has_nothing_to_select():
    for tx in (
        of.masked(of.momentum(0.9), is_kernel),
        of.partition({"a": of.momentum(0.9)}, lambda path, leaf: "a"),
    ):
        for empty in ({}, (), None, {"a": None}):
            assert tx.update(empty, tx.init(empty), empty)[0] == empty


MISFIT = {"encoder": True, "haed": False}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: of.masked(of.identity(), lambda path, leaf: False),
            r"mask selects none of the 4 parameters \('encoder\.0\.bias', ",
        ),
        (lambda: of.masked(of.identity(), False), "mask selects none .*: False"),
        (
            lambda: of.masked(of.identity(), MISFIT),
            "mask must have the structure .*; nothing in mask for 'head'; "
            "no parameter at 'haed'",
        ),
        (
            lambda: of.masked(of.identity(), {"encoder": (True, True), "head": True}),
            "mask must have the structure .*; found .*, expected",
        ),
        (
            lambda: of.masked(of.identity(), {"encoder": True, "head": 1}),
            "mask must consist of bools, found 1 at 'head'",
        ),
        (
            lambda: of.masked(of.identity(), lambda path, leaf: None),
            r"mask must consist of bools, found None at 'encoder\.0\.bias'",
        ),
        (
            lambda: of.partition({"a": of.identity()}, {"encoder": "a"}),
            "nothing in labels for 'head'$",
        ),
        (
            lambda: of.partition(
                {"a": of.identity(), "b": of.identity()}, {"encoder": "a", "head": "c"}
            ),
            r"unknown label 'c' at 'head'; known: \['a', 'b'\]",
        ),
        (
            lambda: of.partition({"a": of.identity()}, lambda path, leaf: path),
            r"unknown label 'encoder\.0\.bias' at .*; known: \['a'\]",
        ),
        (
            lambda: of.partition([of.identity()], "a"),
            "transformations must be a dict from labels",
        ),
        (lambda: of.masked(3, True), "expected a gradient transformation .* found 3"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build().init(PARAMS)


def test_bad_choices_at_update_are_named():
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    other = {"c": jnp.ones(2), "d": jnp.ones(2)}
    tx = of.masked(of.identity(), lambda path, leaf: path == "a")
    message = r"mask selects none of the 2 parameters \('c', 'd'\)"
    with pytest.raises(ValueError, match=message):
        tx.update(other, tx.init(params), other)
    tx = of.partition({"a": of.scale(2.0), "b": of.scale(3.0)}, lambda path, leaf: path)
    with pytest.raises(ValueError, match=r"label 'c' at 'c'; known: \['a', 'b'\]"):
        tx.update(other, tx.init(params), other)


def test_bad_input_at_update_is_named():
    tx = of.masked(of.identity(), is_kernel)
    state = tx.init(PARAMS)
    with pytest.raises(ValueError, match="updates has no leaf at 'head'"):
        tx.update({"encoder": GRADS["encoder"]}, state, PARAMS)
    tx = of.partition({"a": of.identity()}, "a")
    with pytest.raises(ValueError, match=r"a partition with the labels \['a'\]; found"):
        tx.update(GRADS, {"b": ()}, PARAMS)
