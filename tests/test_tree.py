"""Tree arithmetic: dtypes, structures and the errors that name a leaf."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.experimental.sparse import BCOO

import optifunc as of
from optifunc._leafwise import elementwise, leafwise
from optifunc._tree import flatten_like, full_like, leaves_with_names, zeros_like

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


def test_paths_are_dotted():
    assert [name for name, _ in leaves_with_names(TREE)] == [
        "complex",
        "half",
        "list.0",
        "list.2",
    ]
    sparse = BCOO.fromdense(jnp.eye(2))
    assert list(leaves_with_names((sparse,))) == [("0", sparse)]
    assert rotated.__doc__ == "Two trees that need two outputs."


@jax.tree_util.register_dataclass
@dataclass
class Measured:
    value: jax.Array
    error: jax.Array


@jax.tree_util.register_dataclass
@dataclass
class Boxed:
    value: jax.Array


def names_of(tree):
    return [name for name, _ in leaves_with_names(tree)]


def test_a_variable_of_nnx_adds_nothing_to_a_path():
    class Model(nnx.Module):
        def __init__(self):
            self.value = nnx.Param(jnp.zeros(1))
            self.layers = nnx.List([nnx.Param(jnp.ones(2)), nnx.BatchStat(jnp.ones(3))])
            self.several = nnx.Param({"b": jnp.ones(4), "value": jnp.ones(5)})
            self.rows = nnx.Param(BCOO.fromdense(jnp.eye(2)))
            self.none = nnx.Param(None)

    state = nnx.state(Model())
    names = ["layers.0", "layers.1", "rows", "several.b", "several.value", "value"]
    assert names_of(state) == names
    assert names_of(nnx.as_pure(state)) == names
    wanted = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, BCOO))
    for (_, found), leaf in zip(leaves_with_names(state), wanted, strict=True):
        assert found is leaf
    assert names_of(nnx.Param(jnp.ones(2))) == [""]


def test_a_field_of_the_users_own_keeps_its_name_value():
    x = jnp.ones(2)
    tree = {"a": Measured(x, x), "b": Boxed(x), "value": x}
    assert names_of(tree) == ["a.value", "a.error", "b.value", "value"]
    assert names_of({"b": Boxed(x)}) == ["b.value"]
    assert names_of({"p": nnx.Param(Boxed(x))}) == ["p.value"]


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
        (
            lambda: flatten_like(3, {"w": 1}, ("state", "params")),
            "state must have the structure of params; state has no leaf at 'w'",
        ),
    ],
)
def test_errors_name_the_place(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_global_norm_is_that_of_all_elements():
    rows = BCOO((jnp.array([3.0, 4.0]), jnp.array([[1], [1]])), shape=(5,))
    tree = {**TREE, "rows": rows, "big": jnp.full(3, 6e4, jnp.float16)}
    wanted = np.sqrt(1 + 4 + 4 + 1 + 4 + 7**2 + 3 * float(jnp.float16(6e4)) ** 2)
    # A dozen squares in float32.
    np.testing.assert_allclose(of.global_norm(tree), wanted, rtol=5e-7)
    for empty in ({}, None, jnp.zeros((0, 2))):
        norm = of.global_norm(empty)
        assert (float(norm), norm.dtype) == (0.0, jnp.float32)


def test_global_norm_keeps_digits_and_has_a_derivative(x64):
    values = np.random.default_rng(0).normal(size=100)
    norm = of.global_norm([jnp.asarray(values), jnp.ones(2, jnp.bfloat16)])
    assert norm.dtype == jnp.float64
    wanted = np.sqrt(np.sum(values**2) + 2)
    np.testing.assert_allclose(norm, wanted, rtol=1e-14)
    slope = jax.grad(of.global_norm)(jnp.array([3.0, 4.0]))
    np.testing.assert_allclose(slope, [0.6, 0.8], rtol=1e-14)
    np.testing.assert_array_equal(jax.grad(of.global_norm)(jnp.zeros(2)), [0, 0])


def test_trees_like_another():
    sevens = full_like(TREE, 7)
    wanted = jax.tree.map(lambda x: (x.shape, x.dtype), TREE)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), sevens) == wanted
    assert float(sevens["half"][0]) == 7.0
    shapes = jax.eval_shape(zeros_like, TREE)
    assert (
        jax.tree.map(lambda x: (x.shape, x.dtype), jax.eval_shape(zeros_like, shapes))
        == wanted
    )
    mesh = jax.make_mesh((8,), ("x",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    assert zeros_like(jax.device_put(jnp.ones(16), sharding)).sharding == sharding
