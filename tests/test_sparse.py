"""Sparse updates: what `apply_updates` and norms make of their entries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of


def sparse(data, indices, shape):
    return BCOO((data, jnp.asarray(indices, jnp.int32)[:, None]), shape=shape)


def test_updates_change_their_entries_only():
    params = {
        "table": jnp.arange(8.0).reshape(4, 2),
        "dense": jnp.ones(3),
        "kept": jnp.ones(2),
    }
    updates = {
        # Row 1 twice, and padding on both sides.
        "table": sparse(jnp.ones((4, 2)), [1, 4, 1, -1], (4, 2)),
        "dense": jnp.ones(3),
        "kept": None,
    }
    new = jax.jit(of.apply_updates)(params, updates)
    np.testing.assert_array_equal(new["table"], [[0, 1], [4, 5], [4, 5], [6, 7]])
    np.testing.assert_array_equal(new["dense"], 2)
    np.testing.assert_array_equal(new["kept"], 1)


def test_sums_are_rounded_once():
    """Each of these updates alone would be rounded away."""
    params = jnp.ones(2, jnp.bfloat16)
    updates = sparse(jnp.full(2, 2.0**-8), [1, 1], (2,))
    new = of.apply_updates(params, updates)
    assert new.dtype == jnp.bfloat16
    np.testing.assert_array_equal(new.astype("float32"), [1, 1 + 2.0**-7])


def test_norms_count_an_index_once_and_padding_never():
    updates = sparse(jnp.asarray([1.0, 5.0, 2.0, jnp.nan]), [1, 7, 1, -2], (3,))
    np.testing.assert_allclose(of.global_norm({"w": updates}), 3)
    clipped, _ = of.clip(2.5).update({"w": updates}, of.clip(2.5).init({}))
    np.testing.assert_array_equal(
        of.apply_updates({"w": jnp.zeros(3)}, clipped)["w"], [0, 2.5, 0]
    )


def test_shapes_must_agree():
    params = {"layer": {"w": jnp.ones((4, 2))}}
    updates = {"layer": {"w": sparse(jnp.ones((1, 2)), [0], (5, 2))}}
    with pytest.raises(ValueError, match=r"at 'layer.w': \(5, 2\) and \(4, 2\)"):
        of.apply_updates(params, updates)
