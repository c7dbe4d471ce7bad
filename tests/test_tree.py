"""Trees: names of leaves, norms, and trees like another."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.experimental.sparse import BCOO

import optifunc as of
from optifunc._placement import full_like, zeros_like
from optifunc._tree import flatten_like, leaves_with_names

TREE = {
    "half": jnp.array([1.0, 2.0], jnp.bfloat16),
    "list": [jnp.ones((2, 2)), None, jnp.zeros((0, 3))],
    "complex": jnp.array([1 + 2j], jnp.complex64),
}


def test_paths_are_dotted():
    assert [name for name, _ in leaves_with_names(TREE)] == [
        "complex",
        "half",
        "list.0",
        "list.2",
    ]
    sparse = BCOO.fromdense(jnp.eye(2))
    assert list(leaves_with_names((sparse,))) == [("0", sparse)]


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


def test_a_difference_in_structure_is_named():
    message = "state must have the structure of params; state has no leaf at 'w'"
    with pytest.raises(ValueError, match=message):
        flatten_like(3, {"w": 1}, ("state", "params"))
