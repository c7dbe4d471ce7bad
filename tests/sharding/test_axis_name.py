"""Inside `jax.shard_map` and `jax.pmap`, norms and means are those of whole leaves."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, PartitionSpec as P

import optifunc as of
from optifunc.wrappers._monitor import MEASURES

SPECS = {"kernel": P("x"), "bias": P()}
TRANSFORMATIONS = {
    "clip_by_global_norm": of.clip_by_global_norm(1.0, axis_name="x"),
    "clip_by_block_rms": of.clip_by_block_rms(1.0, axis_name="x"),
    "adaptive_grad_clip": of.adaptive_grad_clip(0.01, axis_name="x"),
    "centralize": of.centralize(axis_name="x"),
    "skip_not_finite": of.skip_not_finite(of.identity(), axis_name="x"),
    "skip_large_updates": of.skip_large_updates(of.identity(), 100.0, axis_name="x"),
    "skip_outliers": of.skip_outliers(of.identity(), axis_name="x"),
    "normalize_by_update_norm": of.normalize_by_update_norm(axis_name="x"),
    "scale_by_trust_ratio": of.scale_by_trust_ratio(0.0, 2.0, 0.1, axis_name="x"),
    "scale_by_param_block_norm": of.scale_by_param_block_norm(axis_name="x"),
    "scale_by_param_block_rms": of.scale_by_param_block_rms(axis_name="x"),
    "dynamic_loss_scale": of.dynamic_loss_scale(of.identity(), 4.0, axis_name="x"),
}
SKIPPING = (
    "skip_not_finite",
    "skip_large_updates",
    "skip_outliers",
    "dynamic_loss_scale",
)


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


@pytest.mark.parametrize("name", SKIPPING)
def test_one_device_that_is_not_finite_stops_all(name):
    grads = gradients()
    grads["kernel"] = grads["kernel"].at[5, 1].set(jnp.nan)
    tx = TRANSFORMATIONS[name]
    found = sharded(lambda g: tx.update(g, tx.init(g), g)[0], SPECS)(grads)
    assert not any(jnp.any(leaf != 0) for leaf in found.values())


def test_one_scale_of_the_loss_for_all_devices():
    """Where one device has infinite gradients, all of them lower it."""
    grads = gradients()
    grads["kernel"] = grads["kernel"].at[15, 0].set(jnp.inf)
    tx = TRANSFORMATIONS["dynamic_loss_scale"]
    found = sharded(lambda g: tx.update(g, tx.init(g), g)[1].scale, P())(grads)
    assert found == 2.0


def test_updates_that_are_long_as_a_whole_are_skipped():
    """Each part is shorter than the bound, and all together they are longer."""
    whole = float(of.global_norm(gradients()))
    tx = of.skip_large_updates(of.identity(), 0.9 * whole, axis_name="x")
    updates, state = sharded(lambda g: tx.update(g, tx.init(g), g), (SPECS, P()))(
        gradients()
    )
    assert not any(jnp.any(leaf != 0) for leaf in updates.values())
    assert int(state.skipped) == 1
    assert state.norm == pytest.approx(whole, rel=1e-6)
    tx = TRANSFORMATIONS["skip_outliers"]
    norms = sharded(lambda g: tx.update(g, tx.init(g), g)[1].norms, P())(gradients())
    assert norms[0] == pytest.approx(whole, rel=1e-6)


def largest_of_ones_own(grads, axis_name):
    largest = jnp.max(grads["kernel"])
    # In `init`, which may run outside, there is no axis.
    return largest if axis_name is None else jax.lax.pmax(largest, axis_name)


@pytest.mark.parametrize("outside", [True, False])
def test_measurements_are_of_the_whole(outside):
    measures = {name: name for name in MEASURES} | {"own": largest_of_ones_own}
    tx = of.monitor(of.clip_by_global_norm(5.0, axis_name="x"), measures, axis_name="x")
    params = jax.tree.map(jnp.cos, gradients())
    plain = of.monitor(of.clip_by_global_norm(5.0), measures)
    _, expected = plain.update(gradients(), plain.init(params), params)

    def measured(grads, params, state):
        state = state if outside else tx.init(params)
        return tx.update(grads, state, params)[1].measured

    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    mapped = jax.shard_map(
        measured, mesh=mesh, in_specs=(SPECS, SPECS, P()), out_specs=P()
    )
    found = jax.jit(mapped)(gradients(), params, tx.init(params))
    assert found.keys() == {*MEASURES, "own"}
    chex.assert_trees_all_close(found, expected.measured, rtol=1e-6)


def test_measurements_in_pmap():
    tx = of.monitor(of.sgd(0.5), ("grad_norm", "grad_max"), axis_name="x")
    parts = jnp.arange(24.0).reshape(8, 3)
    found = jax.pmap(lambda g: tx.update(g, tx.init(g), g)[1].measured, axis_name="x")(
        parts
    )
    chex.assert_trees_all_close(
        jax.device_get(found),
        {
            "grad_norm": jnp.full(8, of.global_norm(parts)),
            "grad_max": jnp.full(8, 23.0),
        },
        rtol=1e-6,
    )


def test_a_measurement_of_one_device_that_is_nan_is_not_lost():
    tx = of.monitor(of.identity(), ("grad_norm", "grad_max"), axis_name="x")
    grads = gradients()
    grads["kernel"] = grads["kernel"].at[9, 0].set(jnp.nan)
    found = sharded(lambda g: tx.update(g, tx.init(g), g)[1].measured, P())(grads)
    assert jnp.isnan(found["grad_norm"])
    assert jnp.isnan(found["grad_max"])


@pytest.mark.parametrize(
    "make",
    [
        lambda name: of.clip_by_global_norm(1.0, axis_name=name),
        lambda name: of.clip_by_block_rms(1.0, axis_name=name),
        lambda name: of.adaptive_grad_clip(0.1, axis_name=name),
        lambda name: of.centralize(axis_name=name),
        lambda name: of.skip_not_finite(of.identity(), axis_name=name),
        lambda name: of.skip_large_updates(of.identity(), 1.0, axis_name=name),
        lambda name: of.skip_outliers(of.identity(), axis_name=name),
        lambda name: of.normalize_by_update_norm(axis_name=name),
        lambda name: of.scale_by_trust_ratio(axis_name=name),
        lambda name: of.scale_by_param_block_norm(axis_name=name),
        lambda name: of.scale_by_param_block_rms(axis_name=name),
        lambda name: of.dynamic_loss_scale(of.identity(), axis_name=name),
        lambda name: of.monitor(of.identity(), axis_name=name),
    ],
)
def test_a_name_that_is_none_is_refused(make):
    with pytest.raises(TypeError, match="axis_name must be the name of an axis"):
        make(3)
