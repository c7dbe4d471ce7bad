"""Transformations of a fused function are those of the function."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P

import optifunc as of


def step(params, momentum, grads, lr):
    """A step with elementwise parts, a norm, and a product of matrices."""
    norm = jnp.sqrt(jnp.sum(grads * grads) + 1)
    momentum = 0.9 * momentum + grads / norm
    params = params - lr * momentum * jnp.abs(params)
    return params, momentum, jnp.sum(params @ momentum.T)


fused = of.fuse(step)
RNG = np.random.default_rng(0)
ARGS = (
    *(jnp.asarray(RNG.standard_normal((4, 6)), jnp.float32) for _ in range(3)),
    jnp.float32(0.1),
)
STACKED = jax.tree.map(lambda x: jnp.stack([x, 2 * x, -x]), ARGS)
# As rounding goes: products and sums are contracted in one and not in the other.
assert_close = partial(chex.assert_trees_all_close, rtol=1e-5, atol=1e-5)


def kernels(function, *args):
    return jax.jit(function).lower(*args).as_text().count("custom_call @optifunc_")


def test_jit_inside_and_around():
    assert kernels(fused, *ARGS) == 1
    assert kernels(of.fuse(jax.jit(step)), *ARGS) == 1
    assert kernels(of.fuse(fused), *ARGS) == 1
    expected = step(*ARGS)
    for function in (fused, jax.jit(fused), of.fuse(jax.jit(step)), of.fuse(fused)):
        assert_close(function(*ARGS), expected)


def test_eager_and_disabled():
    with jax.disable_jit():
        assert_close(fused(*ARGS), step(*ARGS))


def test_trees_and_keywords():
    @of.fuse
    def function(tree, *, scale, name=None):
        return {"y": tree["x"] * scale, "none": name, "both": (tree["x"], scale + 1)}

    tree = {"x": ARGS[0], "unused": ARGS[1]}
    found = function(tree, scale=jnp.float32(2))
    assert_close(found["y"], 2 * ARGS[0])
    assert found["none"] is None
    assert_close(found["both"], (ARGS[0], jnp.float32(3)))
    assert function.__name__ == "function"


def test_what_is_closed_over_may_be_traced():
    @jax.jit
    def outer(lr, *args):
        table = jnp.asarray(RNG.standard_normal((4, 6)), jnp.float32)
        return of.fuse(lambda p, m, g: step(p + table * lr, m, g, lr))(*args)

    # The gradient with respect to what is closed over.
    assert_close(outer(ARGS[3], *ARGS[:3])[1], step(*ARGS)[1])
    slope = jax.grad(lambda lr: outer(lr, *ARGS[:3])[2])(ARGS[3])
    assert np.isfinite(slope)


def test_types_alone():
    assert jax.eval_shape(fused, *ARGS) == jax.eval_shape(step, *ARGS)
    jaxpr = jax.make_jaxpr(fused)(*ARGS)
    assert [v.aval.shape for v in jaxpr.jaxpr.outvars] == [(4, 6), (4, 6), ()]


@pytest.mark.parametrize("axes", [(0, 0, 0, 0), (0, None, 1, None), (2, 0, 0, None)])
def test_vmap(axes):
    args = tuple(
        x if axis is None else jnp.moveaxis(s, 0, axis)
        for x, s, axis in zip(ARGS, STACKED, axes, strict=True)
    )
    found = jax.vmap(fused, in_axes=axes)(*args)
    assert_close(found, jax.vmap(step, in_axes=axes)(*args))


def test_vmap_of_elementwise_operations_is_fused():
    def function(x, y):
        return x * y + 1, jnp.where(x > y, x, y)

    mapped = jax.vmap(of.fuse(function))
    assert kernels(mapped, *STACKED[:2]) == 1
    assert_close(mapped(*STACKED[:2]), jax.vmap(function)(*STACKED[:2]))


def test_vmap_with_a_name_that_the_function_uses():
    def mean(x):
        return x - jax.lax.pmean(x * 2, "batch")

    found = jax.vmap(of.fuse(mean), axis_name="batch")(STACKED[0])
    assert_close(found, jax.vmap(mean, axis_name="batch")(STACKED[0]))


def test_derivatives():
    def slopes(f):
        return jax.grad(lambda *args: f(*args)[2], argnums=(0, 1, 2, 3))

    expected = slopes(step)(*ARGS)
    assert_close(slopes(fused)(*ARGS), expected)
    assert_close(jax.jit(slopes(fused))(*ARGS), expected)
    tangents = tuple(0.5 * x + 1 for x in ARGS)
    assert_close(jax.jvp(fused, ARGS, tangents), jax.jvp(step, ARGS, tangents))


@pytest.mark.slow
def test_second_derivatives():
    hessian = jax.hessian(lambda p: fused(p, *ARGS[1:])[2])(ARGS[0])
    assert_close(hessian, jax.hessian(lambda p: step(p, *ARGS[1:])[2])(ARGS[0]))


def test_derivatives_with_integers():
    def function(x, n, flag):
        return jnp.where(flag, x * n.astype(jnp.float32), x), n + 1

    args = ARGS[0], jnp.ones((4, 6), jnp.int32), ARGS[1] > 0

    def value(f):
        return lambda x: jnp.sum(f(x, *args[1:])[0] ** 2)

    found = jax.grad(value(of.fuse(function)))(args[0])
    assert_close(found, jax.grad(value(function))(args[0]))


def test_transpose():
    def linear(x):
        return 2 * x - ARGS[1] * x, jnp.sum(x)

    cotangents = (ARGS[2], jnp.float32(3))
    found = jax.linear_transpose(of.fuse(linear), ARGS[0])(cotangents)
    assert_close(found, jax.linear_transpose(linear, ARGS[0])(cotangents))


def test_checkpoint():
    def loss(f):
        return jax.grad(lambda p: jax.checkpoint(f)(p, *ARGS[1:])[2])

    assert_close(jax.jit(loss(fused))(ARGS[0]), loss(step)(ARGS[0]))
    policy = jax.checkpoint_policies.dots_saveable
    saved = jax.grad(lambda p: jax.checkpoint(fused, policy=policy)(p, *ARGS[1:])[2])
    assert_close(jax.jit(saved)(ARGS[0]), loss(step)(ARGS[0]))


def test_scan_and_loops():
    def trajectory(f):
        def body(carry, grads):
            params, momentum, loss = f(*carry, grads, ARGS[3])
            return (params, momentum), loss

        return lambda: jax.lax.scan(body, ARGS[:2], STACKED[2])

    assert kernels(trajectory(fused)) == 1
    assert_close(jax.jit(trajectory(fused))(), trajectory(step)())

    def repeated(f):
        def body(_, carry):
            return f(*carry, *ARGS[2:])[:2]

        return lambda n: jax.lax.fori_loop(0, n, body, ARGS[:2])

    assert_close(jax.jit(repeated(fused))(3), jax.jit(repeated(step))(3))


def test_cond_and_switch():
    for flag in (True, False):
        found = jax.jit(
            lambda flag: jax.lax.cond(flag, fused, lambda *a: (a[0], a[1], a[3]), *ARGS)
        )(flag)
        expected = step(*ARGS) if flag else (ARGS[0], ARGS[1], ARGS[3])
        assert_close(found, expected)


def test_control_flow_inside():
    def function(x, flag):
        y = jax.lax.cond(flag, lambda x: x * 2 + 1, lambda x: x, x)
        z, _ = jax.lax.scan(lambda c, _: (c * 0.5 + y, None), x, length=3)
        return jax.lax.while_loop(lambda c: jnp.sum(c) < 100, lambda c: c * c + 1, z)

    for flag in (True, False):
        args = ARGS[0], jnp.asarray(flag)
        assert_close(of.fuse(function)(*args), function(*args))


def test_custom_derivatives_inside():
    def function(x):
        return jax.nn.relu(x) * 2 + of.global_norm(x), jax.nn.gelu(x)

    assert_close(of.fuse(function)(ARGS[0]), function(ARGS[0]))
    found = jax.grad(lambda x: jnp.sum(of.fuse(function)(x)[0]))(ARGS[0])
    assert_close(found, jax.grad(lambda x: jnp.sum(function(x)[0]))(ARGS[0]))


# --- several devices ------------------------------------------------------------------


@pytest.fixture(scope="module", params=[AxisType.Auto, AxisType.Explicit])
def mesh(request):
    devices = np.array(jax.devices()[:4])
    return Mesh(devices, ("data",), axis_types=(request.param,))


def test_a_partitioned_program_is_left_to_xla(mesh):
    sharding = NamedSharding(mesh, P("data", None))
    args = (*(jax.device_put(x, sharding) for x in ARGS[:3]), ARGS[3])

    def elementwise(params, momentum, grads, lr):
        momentum = 0.9 * momentum + grads
        return params - lr * momentum, momentum

    found = jax.jit(of.fuse(elementwise))(*args)
    assert_close(found, elementwise(*ARGS))
    assert kernels(of.fuse(elementwise), *args) == 0
    assert found[0].sharding.is_equivalent_to(sharding, 2)


def test_replicated_over_several_devices(mesh):
    args = jax.device_put(ARGS, NamedSharding(mesh, P()))
    assert_close(jax.jit(fused)(*args), step(*ARGS))


def test_inside_shard_map_kernels_work_on_parts(mesh):
    def each(params, momentum, grads, lr):
        params, momentum, loss = fused(params, momentum, grads, lr)
        return params, momentum, loss[None]

    spec = P("data", None)

    def mapped(f):
        specs = (spec, spec, spec, P())
        out = (spec, spec, P("data"))
        return jax.shard_map(f, mesh=mesh, in_specs=specs, out_specs=out)

    sharding = NamedSharding(mesh, spec)
    args = (
        *(jax.device_put(x, sharding) for x in ARGS[:3]),
        jax.device_put(ARGS[3], NamedSharding(mesh, P())),
    )
    found = jax.jit(mapped(each))(*args)
    rows = [step(*(x[i : i + 1] for x in ARGS[:3]), ARGS[3]) for i in range(4)]
    assert_close(found[0], jnp.concatenate([r[0] for r in rows]))
    assert_close(found[2], jnp.stack([r[2] for r in rows]))
    assert kernels(mapped(each), *args) == 1


def test_collectives_inside_of_a_fused_function(mesh):
    def each(x):
        return x - jax.lax.pmean(x, "data") * 0.5

    def mapped(f):
        spec = P("data", None)
        return jax.jit(jax.shard_map(f, mesh=mesh, in_specs=spec, out_specs=spec))

    x = jax.device_put(ARGS[0], NamedSharding(mesh, P("data", None)))
    assert_close(mapped(of.fuse(each))(x), mapped(each)(x))


def test_each_device_by_itself():
    for device in jax.devices()[:3]:
        found = jax.jit(fused)(*jax.device_put(ARGS, device))
        assert found[0].devices() == {device}
        assert_close(found, step(*ARGS))


def test_export_leaves_kernels_out():
    exported = jax.export.export(jax.jit(fused))(*ARGS)
    assert "optifunc_" not in exported.mlir_module()
    assert_close(exported.call(*ARGS), step(*ARGS))
