"""Containers that hold one array leave no mark in its name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

nn = pytest.importorskip("flax.linen", reason="extra `test`")


def dense(init):
    return nn.Dense(2, kernel_init=init(nn.initializers.ones_init(), ("in", "out")))


def is_kernel(path, leaf):
    return path.endswith("kernel")


@pytest.mark.parametrize("init", [nn.with_partitioning, nn.with_logical_partitioning])
def test_boxes_of_linen_have_no_name(init):
    variables = dense(init).init(jax.random.key(0), jnp.ones((1, 3)))
    boxed = variables["params"]
    assert type(boxed["kernel"]).__name__.endswith("Partitioned")
    tx = of.chain(
        of.masked(of.add_decayed_weights(0.1), is_kernel),
        of.scale_by_learning_rate(1.0),
    )
    names = [row.name for row in of.describe(tx, boxed).rows]
    assert names == ["bias", "kernel"]

    # Decay of the kernel alone: updates boxed as the parameters are.
    zeros = jax.tree.map(jnp.zeros_like, boxed)
    updates, _ = tx.update(zeros, tx.init(boxed), boxed)
    np.testing.assert_allclose(updates["kernel"].value, -0.1 * np.ones((3, 2)))
    np.testing.assert_array_equal(updates["bias"], np.zeros(2))

    # The same without boxes.
    plain = nn.meta.unbox(boxed)
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, plain), tx.init(plain), plain)
    np.testing.assert_allclose(updates["kernel"], -0.1 * np.ones((3, 2)))


def test_a_box_of_the_users_own():
    @jax.tree_util.register_pytree_with_keys_class
    class Named:
        def __init__(self, array):
            self.array = array

        def tree_flatten_with_keys(self):
            return ((jax.tree_util.GetAttrKey("array"), self.array),), None

        @classmethod
        def tree_unflatten(cls, structure, children):
            return cls(*children)

    params = {"kernel": Named(jnp.ones(2))}
    tx = of.adamw(mask=is_kernel)
    with pytest.warns(of.EmptyMaskWarning, match=r"'kernel\.array'"):
        tx.init(params)
    of.interop.register_box(Named, "array")
    tx.init(params)
    (row,) = of.describe(tx, params).rows
    assert (row.name, row.decayed) == ("kernel", True)
    with pytest.raises(ValueError, match=r"registered as a box with .* 'array'"):
        of.interop.register_box(Named, "value")
    with pytest.raises(TypeError, match="cls must be a class"):
        of.interop.register_box(Named(jnp.ones(1)))
