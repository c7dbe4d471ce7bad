"""Rules over trees: dtypes, structures and the errors that name a leaf."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.sparse import BCOO

from optifunc._leafwise import elementwise, leafwise

TREE = {
    "half": jnp.array([1.0, 2.0], jnp.bfloat16),
    "list": [jnp.ones((2, 2)), None, jnp.zeros((0, 3))],
    "complex": jnp.array([1 + 2j], jnp.complex64),
}


@elementwise(outputs=2)
def rotated(first, second, *, angle):
    """Two trees that need two outputs."""
    new = jnp.cos(angle) * first - jnp.sin(angle) * second
    return new, jnp.sin(angle) * first + jnp.cos(angle) * second


@elementwise()
def where_given(first, second):
    return first if second is None else first + second


@elementwise()
def halved(first, *, factor):
    return factor * first


@elementwise()
def squared(first):
    return first * first


@leafwise()
def centered(first):
    return first - jnp.mean(first)


def test_rules_compute_in_float32_at_least_and_round_to_each_trees_dtype():
    seen = []

    @elementwise(outputs=2)
    def recorded(first, second, *, weight):
        seen.append((first.dtype, second.dtype, weight.dtype, first.shape))
        return first + weight * second, second

    wide = TREE | {"half": TREE["half"].astype(jnp.float32)}
    first, second = recorded(TREE, wide, weight=0.5)
    for found, like in ((first, TREE), (second, wide)):
        assert jax.tree.map(lambda x: x.dtype, found) == jax.tree.map(
            lambda x: x.dtype, like
        )
    assert {dtypes[:3] for dtypes in seen} == {(jnp.dtype("float32"),) * 3}
    # A complex leaf reaches the rule as its two parts.
    assert (2, 1) in [shape for *_, shape in seen]
    np.testing.assert_array_equal(first["complex"], 1.5 * TREE["complex"])


def test_a_rule_is_traced_once_for_leaves_of_one_kind():
    traced = []

    @elementwise()
    def counted(first, *, factor):
        traced.append(first.shape)
        return factor * first

    leaves = [jnp.ones(3)] * 10 + [jnp.ones(4)]
    for factor in (1.0, 2.0):
        counted(leaves, factor=factor)
    assert sorted(traced) == [(3,), (4,)]


def test_none_may_stand_for_a_leaf_of_another_tree():
    first = {"a": jnp.ones(2), "b": jnp.array([1j], jnp.complex64)}
    np.testing.assert_array_equal(
        where_given(first, {"a": None, "b": None})["b"], first["b"]
    )
    mixed = where_given(first, {"a": jnp.ones(2), "b": None})
    np.testing.assert_array_equal(mixed["a"], [2.0, 2.0])
    np.testing.assert_array_equal(mixed["b"], first["b"])


def test_sparse_leaves_keep_their_rows_and_sum_those_given_twice():
    rows = BCOO(
        (jnp.array([[1.0, 2.0], [3.0, 4.0]], jnp.bfloat16), jnp.array([[2], [2]])),
        shape=(3, 2),
    )
    found = jax.jit(lambda t: squared(t))({"t": rows})["t"]
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(
        found.todense().astype(jnp.float32), [[0, 0], [0, 0], [16, 36]]
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: rotated(TREE, {**TREE, "half": None}, angle=jnp.ones(2)),
            r"angle must be a scalar, found an array of shape \(2,\); .* jax.vmap",
        ),
        (
            lambda: halved({}, factor=lambda step: 1.0),
            "factor is a schedule, .* but a value is needed: wrap",
        ),
        (
            lambda: rotated({"a": {"b": jnp.ones(2)}}, {"a": {"c": 1}}, angle=0),
            r"second must have the structure of first; "
            r"second has no leaf at 'a\.b'; first has no leaf at 'a\.c'",
        ),
        (
            lambda: rotated([jnp.ones(2)], (jnp.ones(2),), angle=0),
            r"found PyTreeDef\(\(\*,\)\), expected PyTreeDef\(\[\*\]\)",
        ),
        (
            lambda: rotated(dict.fromkeys("abcdefg", 1.0), {}, angle=0),
            "'a', 'b', 'c', 'd', 'e' and 2 more",
        ),
        (
            lambda: rotated({"a": [jnp.ones((2, 1))]}, {"a": [jnp.ones(2)]}, angle=0),
            r"first and second differ in shape at 'a\.0': \(2, 1\) and \(2,\)",
        ),
        (
            lambda: halved({"i": jnp.arange(2)}, factor=1.0),
            "first must be floating point or complex, found int32 at 'i'",
        ),
        (
            lambda: rotated(
                BCOO.fromdense(jnp.eye(2)), BCOO.fromdense(jnp.eye(2)), angle=0
            ),
            r"a sparse gradient of shape \(2, 2\) met a rule for dense ones",
        ),
        (
            lambda: centered(BCOO.fromdense(jnp.eye(2))),
            r"a sparse gradient of shape \(2, 2\) met a rule for dense ones",
        ),
    ],
)
def test_errors_name_the_place(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_a_rule_keeps_its_name_and_its_docstring():
    assert rotated.__name__ == "rotated"
    assert rotated.__doc__ == "Two trees that need two outputs."
