"""Transformations are values; updates reach the parameters in their own dtypes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of

PARAMS = {"w": jnp.array([1.0, 2.0]), "b": None}


@of.transformation
class scale_by_power(of.GradientTransformation):
    """The example of the documentation."""

    exponent: float = 0.5
    keep_sign: bool = of.static(default=True)
    offset: tuple = (0.0, 1.0)

    def __post_init__(self):
        if isinstance(self.exponent, float) and self.exponent < 0:
            raise ValueError(f"exponent must be at least 0, found {self.exponent}")

    def init(self, params):
        return ()

    def update(self, updates, state, params=None, **extra):
        def power(g):
            size = jnp.abs(g) ** self.exponent + self.offset[0]
            return jnp.sign(g) * size if self.keep_sign else size

        return jax.tree.map(power, updates), state


def test_a_transformation_is_a_pytree_of_its_numbers():
    tx = scale_by_power(2.0)
    leaves, treedef = jax.tree.flatten(tx)
    assert leaves == [2.0, 0.0, 1.0]
    names = [
        jax.tree_util.keystr(path)
        for path, _ in jax.tree_util.tree_leaves_with_path(tx)
    ]
    assert names == [".exponent", ".offset[0]", ".offset[1]"]
    # Rebuilding runs no checks: JAX puts anything in place of a leaf.
    rebuilt = jax.tree.unflatten(treedef, [-3.0, object(), None])
    assert rebuilt.exponent == -3.0
    assert treedef != jax.tree.structure(scale_by_power(2.0, keep_sign=False))
    assert repr(tx) == "scale_by_power(exponent=2.0, keep_sign=True, offset=(0.0, 1.0))"


def test_it_is_frozen_and_hashable():
    tx = scale_by_power(jnp.ones(()))
    assert tx == tx
    assert tx == scale_by_power(jnp.ones(()))
    assert tx != scale_by_power(jnp.zeros(()))
    assert {tx: 1}[scale_by_power(jnp.ones(()))] == 1
    with pytest.raises(dataclasses.FrozenInstanceError, match="is a value"):
        tx.exponent = 1.0
    with pytest.raises(
        dataclasses.FrozenInstanceError, match="replace_hyperparameters"
    ):
        tx.schedule = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError, match="is a value"):
        del tx.exponent
    with pytest.raises(ValueError, match=r"found -1\.0"):
        scale_by_power(-1.0)
    init, update = tx
    assert update({"w": jnp.ones(1)}, init({}))[1] == ()


def test_as_a_compiled_argument_it_is_compiled_once_per_structure():
    compiled = []

    @jax.jit
    def run(tx):
        compiled.append(tx)
        return tx.update({"w": jnp.array([4.0, -9.0])}, ())[0]["w"]

    for exponent in (0.5, 2.0):
        np.testing.assert_allclose(
            run(scale_by_power(exponent)), [4**exponent, -(9**exponent)], rtol=1e-6
        )
    assert len(compiled) == 1
    np.testing.assert_allclose(run(scale_by_power(0.5, keep_sign=False)), [2, 3])
    assert len(compiled) == 2

    exponents = jnp.array([0.5, 1.0])
    swept = jax.vmap(lambda e: run(scale_by_power(e)))(exponents)
    np.testing.assert_allclose(swept, [[2, -3], [4, -9]], rtol=1e-6)
    slope = jax.grad(lambda tx: run(tx).sum())(scale_by_power(2.0))
    wanted = 16 * np.log(4) - 81 * np.log(9)
    np.testing.assert_allclose(slope.exponent, wanted, rtol=1e-6)


def test_only_transformations_can_be_decorated():
    with pytest.raises(TypeError, match="needs a subclass of GradientTransformation"):
        of.transformation(dict)

    @of.transformation
    class unfinished(of.GradientTransformation):
        def init(self, params):
            return ()

    with pytest.raises(TypeError, match="abstract"):
        unfinished()


@pytest.mark.parametrize("param", [jnp.bfloat16, jnp.float16, jnp.float32])
@pytest.mark.parametrize("update", [jnp.bfloat16, jnp.float32])
def test_apply_updates_rounds_once_to_the_parameters_dtype(param, update):
    params = {"w": jnp.array([1.0, 256.0, 1.0], param), "none": None}
    updates = {"w": jnp.array([2**-9, 1.0, 0.25], update), "none": None}
    found = of.apply_updates(params, updates)["w"]
    exact = np.float32(params["w"]) + np.float32(updates["w"])
    assert found.dtype == param
    np.testing.assert_array_equal(found, jnp.asarray(exact).astype(param))


def test_apply_updates_of_sparse_and_missing_leaves():
    params = {
        "table": jnp.ones((3, 2), jnp.bfloat16),
        "kept": {"a": jnp.ones(2), "b": jnp.ones(())},
        "c": jnp.array([1j], jnp.complex64),
    }
    # Row 1 is given twice; the index 3 is padding.
    rows = BCOO((jnp.ones((3, 2)), jnp.array([[1], [1], [3]])), shape=(3, 2))
    updates = {"table": rows, "kept": None, "c": jnp.array([1.0 + 0j], jnp.complex64)}
    updates["kept"] = {"a": None, "b": jnp.ones(())}
    found = jax.jit(of.apply_updates)(params, updates)
    assert found["table"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(
        found["table"].astype(jnp.float32), [[1, 1], [3, 3], [1, 1]]
    )
    np.testing.assert_array_equal(found["kept"]["a"], [1, 1])
    assert float(found["kept"]["b"]) == 2.0
    np.testing.assert_array_equal(found["c"], [1 + 1j])
    for empty in ({}, None, (), {"n": None}, jnp.zeros((0, 2))):
        new = of.apply_updates(empty, empty)
        assert jax.tree.structure(new) == jax.tree.structure(empty)


@pytest.mark.parametrize(
    ("updates", "message"),
    [
        ({"v": jnp.ones(2), "b": None}, "updates has no leaf at 'w'; params has no"),
        ({"w": jnp.ones(3), "b": None}, r"differ in shape at 'w': \(2,\) and \(3,\)"),
        (
            {"w": BCOO.fromdense(jnp.ones(3)), "b": None},
            r"differ in shape.*: \(3,\) and \(2,\)",
        ),
    ],
)
def test_apply_updates_names_what_does_not_fit(updates, message):
    with pytest.raises(ValueError, match=message):
        of.apply_updates(PARAMS, updates)


def test_identity():
    tx = of.identity()
    updates, state = tx.update(PARAMS, tx.init(PARAMS), value=1.0)
    assert updates is PARAMS
    assert jax.tree.leaves((tx, state)) == []
