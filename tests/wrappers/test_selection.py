"""Masks and labels, as trees and as functions: what they select and what is refused."""

import enum
import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of

from .trees import GRADS, KERNELS, PARAMS, assert_equal, expected, is_kernel, updates_of


def test_a_mask_may_be_a_prefix_of_the_parameters():
    found = updates_of(of.masked(of.scale(2.0), {"encoder": True, "head": False}))
    wanted = jax.tree.map(lambda g: 2 * g, GRADS) | {"head": GRADS["head"]}
    assert_equal(found, wanted)
    assert_equal(updates_of(of.masked(of.scale(2.0), True))["head"], 2 * GRADS["head"])


def by_path(path, leaf):
    return path.endswith("kernel")


def by_path_and_more(path, leaf, suffix="kernel", *, case=True):
    return path.endswith(suffix)


def by_anything(*path_and_leaf):
    return by_path(*path_and_leaf)


class ByPath:
    def __call__(self, path, leaf):
        return by_path(path, leaf)


def by_tree(params):
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: path[-1] == jax.tree_util.DictKey("kernel"), params
    )


def by_tree_and_more(params, key="kernel"):
    return by_tree(params)


class ByTree:
    def __call__(self, params):
        return by_tree(params)


@pytest.mark.parametrize(
    "mask",
    [
        by_path,
        by_path_and_more,
        by_anything,
        ByPath(),
        partial(by_path_and_more, case=False),
        by_tree,
        by_tree_and_more,
        ByTree(),
        partial(by_tree_and_more, key="kernel"),
    ],
)
def test_functions_of_a_leaf_and_of_the_tree_are_told_apart(mask):
    """By how many arguments must be given by position: two, or one as in optax."""
    assert_equal(updates_of(of.masked(of.scale(2.0), mask)), expected(2.0, 1.0))

    def labels(*given):
        chosen = mask(*given)
        return jax.tree.map(lambda keep: "a" if keep else "b", chosen)

    # The same for labels, which a function of as many arguments returns.
    labels.__signature__ = inspect.signature(mask)
    tx = of.partition({"a": of.scale(2.0), "b": of.scale(3.0)}, labels)
    assert_equal(updates_of(tx), expected(2.0, 3.0))
    # Without the parameters the functions see the updates.
    state = tx.init(PARAMS)
    assert_equal(tx.update(GRADS, state)[0], expected(2.0, 3.0))


def test_a_function_of_the_tree_is_optaxs():
    def mask(params):
        return {"encoder": True, "head": False}

    ours = of.masked(of.adam(0.1), mask)
    theirs = optax.masked(of.adam(0.1), mask)
    assert_equal(updates_of(ours), updates_of(theirs))

    def labels(params):
        return {"encoder": "x", "head": "y"}

    parts = {"x": of.adam(0.1), "y": of.set_to_zero()}
    assert_equal(
        updates_of(of.partition(parts, labels)),
        updates_of(optax.partition(parts, labels)),
    )


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (lambda params: {"encoder": 1, "head": True}, "found 1 at 'encoder'"),
        (lambda params: {"encoder": True}, "nothing in mask for 'head'"),
        (lambda params: None, "mask must have the structure"),
    ],
)
def test_what_a_function_of_the_tree_returns_is_checked(choice, message):
    with pytest.raises(ValueError, match=message):
        of.masked(of.identity(), choice).init(PARAMS)


def none_of_them(path, leaf):
    return False


@pytest.mark.parametrize(
    "mask",
    [none_of_them, lambda params: False, partial(by_path_and_more, suffix="kernle")],
)
def test_a_function_that_selects_nothing_is_a_warning_with_the_paths(mask):
    tx = of.masked(of.momentum(0.9), mask)
    message = r"mask selects none of the 4 parameters: 'encoder\.0\.bias', 'encoder"
    with pytest.warns(UserWarning, match=message):
        state = tx.init(PARAMS)
    # It is said once, and nothing is changed.
    updates, state = tx.update(GRADS, state, PARAMS)
    assert_equal(updates, GRADS)
    assert jax.tree.leaves(state.inner.momentum_buffer) == []


@pytest.mark.parametrize("mask", [False, {"encoder": False, "head": False}])
def test_a_tree_that_selects_nothing_is_meant(mask):
    assert_equal(updates_of(of.masked(of.scale(2.0), mask)), GRADS)


def test_labels_of_no_leaf():
    tx = of.partition({"a": of.scale(2.0), "never": of.adamw()}, lambda path, leaf: "a")
    assert_equal(updates_of(tx), expected(2.0, 2.0))
    # Also where a single array is all that there is.
    for used, params in (("array", jnp.ones(2)), ("list", [jnp.ones(2)])):
        for unused in (of.sgd(0.1), of.adam(), of.adamw(), of.adafactor(), of.muon()):
            tx = of.partition({used: of.scale(2.0), "never": unused}, used)
            assert_equal(
                updates_of(tx, params, params), jax.tree.map(lambda p: 2 * p, params)
            )
    tx = of.masked(of.adamw(), False)
    np.testing.assert_array_equal(updates_of(tx, jnp.ones(2), jnp.ones(2)), 1.0)


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


@pytest.mark.parametrize("kind", [bool, np.bool_, np.array, jnp.array])
def test_bools_of_every_kind(kind):
    tree = jax.tree.map(kind, KERNELS)
    wanted = updates_of(of.masked(of.scale(2.0), KERNELS))

    def by_kind(path, leaf):
        return kind(is_kernel(path, leaf))

    for mask in (tree, lambda params: tree, by_kind):
        tx = of.masked(of.scale(2.0), mask)
        assert_equal(updates_of(tx), wanted)
        assert_equal(jax.jit(tx.update)(GRADS, tx.init(PARAMS))[0], wanted)
    assert of.masked(of.scale(2.0), tree) == of.masked(of.scale(2.0), KERNELS)


def test_a_mask_of_none_selects_all():
    assert_equal(
        updates_of(of.masked(of.scale(2.0), None)), jax.tree.map(lambda g: 2 * g, GRADS)
    )


class Speed(enum.Enum):
    FAST = 1
    SLOW = 2


@pytest.mark.parametrize(
    ("kernels", "others"),
    [(0, 1), (Speed.FAST, Speed.SLOW), (True, False), (None, "other"), (0, "other")],
)
def test_labels_of_every_kind(kernels, others):
    def label(path, leaf):
        return kernels if is_kernel(path, leaf) else others

    tx = of.partition({kernels: of.scale(2.0), others: of.identity()}, label)
    assert_equal(updates_of(tx), updates_of(of.masked(of.scale(2.0), KERNELS)))
    state = tx.init(PARAMS)
    assert set(state) == {str(kernels), str(others)}
    assert "factor" in str(of.current_hyperparameters(tx, state))


def test_two_labels_of_one_name_are_refused():
    with pytest.raises(
        ValueError, match=r"two of the labels \[0, '0'\] have the same name"
    ):
        of.partition({0: of.identity(), "0": of.scale(2.0)}, 0)


def test_optax_maps_over_the_parameters_in_a_state():
    tx = of.chain(of.masked(of.adam(), KERNELS), of.partition({"a": of.adam()}, "a"))
    state = tx.init(PARAMS)
    ones = optax.tree_map_params(tx, jnp.ones_like, state)
    assert jax.tree.structure(ones) == jax.tree.structure(state)
    assert_equal(ones[1]["a"][0].exp_avg, jax.tree.map(jnp.ones_like, PARAMS))
    assert ones[1]["a"][0].step == 0


def test_bad_choices_at_update_are_named():
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    other = {"c": jnp.ones(2), "d": jnp.ones(2)}
    tx = of.partition({"a": of.scale(2.0), "b": of.scale(3.0)}, lambda path, leaf: path)
    with pytest.raises(ValueError, match=r"label 'c' at 'c'; known: \['a', 'b'\]"):
        tx.update(other, tx.init(params), other)


def test_bad_input_at_update_is_named():
    tx = of.masked(of.identity(), is_kernel)
    state = tx.init(PARAMS)
    with pytest.raises(ValueError, match="updates has no leaf at 'head'"):
        tx.update({"encoder": GRADS["encoder"]}, state, PARAMS)
    tx = of.partition({"a": of.identity()}, "a")
    with pytest.raises(
        ValueError,
        match=r"expected a dict with the labels \['a'\], found a dict of \['b'\]",
    ):
        tx.update(GRADS, {"b": ()}, PARAMS)
