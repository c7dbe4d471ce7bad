"""Inside `jax.shard_map` and `jax.pmap`, norms and means are those of whole leaves."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, PartitionSpec as P

import optifunc as of

SPECS = {"kernel": P("x"), "bias": P()}
TRANSFORMATIONS = {
    "clip_by_global_norm": of.clip_by_global_norm(1.0, axis_name="x"),
    "clip_by_block_rms": of.clip_by_block_rms(1.0, axis_name="x"),
    "adaptive_grad_clip": of.adaptive_grad_clip(0.01, axis_name="x"),
    "centralize": of.centralize(axis_name="x"),
    "skip_not_finite": of.skip_not_finite(of.identity(), axis_name="x"),
}


def gradients():
    kernel = jnp.arange(32.0).reshape(16, 2) + 1
    return {"kernel": kernel, "bias": jnp.array([3.0, 4.0])}


def sharded(function, out_specs):
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    mapped = jax.shard_map(function, mesh=mesh, in_specs=(SPECS,), out_specs=out_specs)
    return jax.jit(mapped)


def test_a_leaf_that_is_the_same_everywhere_counts_once():
    found = sharded(lambda g: of.global_norm(g, "x"), P())(gradients())
    assert found == pytest.approx(float(of.global_norm(gradients())), rel=1e-6)


def test_without_a_name_the_norm_is_of_the_part():
    found = sharded(lambda g: of.global_norm(g)[None], P("x"))(gradients())
    parts = jnp.sum(gradients()["kernel"].reshape(8, 4) ** 2, 1) + 25
    chex.assert_trees_all_close(found, jnp.sqrt(parts), rtol=1e-6)


def test_pmap():
    parts = jnp.arange(24.0).reshape(8, 3)
    found = jax.pmap(lambda g: of.global_norm(g, "x"), axis_name="x")(parts)
    expected = jnp.full(8, of.global_norm(parts))
    chex.assert_trees_all_close(jax.device_get(found), expected, rtol=1e-6)


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_as_on_one_device(name):
    tx = TRANSFORMATIONS[name]
    plain = dataclasses.replace(tx, axis_name=None)

    def updated(tx, g):
        return tx.update(g, tx.init(g), g)[0]

    found = sharded(lambda g: updated(tx, g), SPECS)(gradients())
    chex.assert_trees_all_close(found, updated(plain, gradients()), rtol=1e-6)


def test_one_device_that_is_not_finite_stops_all():
    grads = gradients()
    grads["kernel"] = grads["kernel"].at[5, 1].set(jnp.nan)
    tx = TRANSFORMATIONS["skip_not_finite"]
    found = sharded(lambda g: tx.update(g, tx.init(g), g)[0], SPECS)(grads)
    assert not any(jnp.any(leaf != 0) for leaf in found.values())


@pytest.mark.parametrize(
    "make",
    [
        lambda name: of.clip_by_global_norm(1.0, axis_name=name),
        lambda name: of.clip_by_block_rms(1.0, axis_name=name),
        lambda name: of.adaptive_grad_clip(0.1, axis_name=name),
        lambda name: of.centralize(axis_name=name),
        lambda name: of.skip_not_finite(of.identity(), axis_name=name),
    ],
)
def test_a_name_that_is_none_is_refused(make):
    with pytest.raises(TypeError, match="axis_name must be the name of an axis"):
        make(3)
