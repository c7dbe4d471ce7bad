"""ZeRO where parameters are sharded over other axes of the mesh."""

import math

import chex
import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import optifunc as of

LAYOUT = {"up": P(None, "tensor"), "down": P("tensor"), "own": P("data"), "scale": P()}
# Cut along what is longest on a device; ``own`` is cut over the axis already.
CUT = {
    "up": P(None, ("tensor", "data")),
    "down": P(("tensor", "data")),
    "own": P("data"),
    "scale": P("data"),
}


def on_mesh(kind=AxisType.Auto):
    return jax.make_mesh((2, 2), ("data", "tensor"), axis_types=(kind,) * 2)


def parameters():
    # At most 512 bytes each, so that XLA's CPU client runs a program in one order.
    shapes = {"up": (4, 16), "down": (16, 4), "own": (8,), "scale": (4,)}
    return {
        name: jnp.linspace(-1, 1, math.prod(shape)).reshape(shape)
        for name, shape in shapes.items()
    }


def placed(mesh):
    specs = dict(LAYOUT)
    if AxisType.Explicit in mesh.axis_types:
        # As JAX spells them in results.
        specs |= {"down": P("tensor", None), "scale": P(None)}
    shardings = {name: NamedSharding(mesh, spec) for name, spec in specs.items()}
    return jax.device_put(parameters(), shardings)


def two_steps(tx, params, state):
    @jax.jit
    def step(params, state):
        updates, state = tx.update(params, state, params)
        return of.apply_updates(params, updates), state

    for _ in range(2):
        params, state = step(params, state)
    return params, state, step


def by_path(path, leaf):
    return LAYOUT[path]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "layout"), [(AxisType.Auto, LAYOUT), (AxisType.Explicit, by_path)]
)
def test_the_state_is_cut_once_more(kind, layout):
    mesh = on_mesh(kind)
    make = of.chain(of.clip_by_global_norm(0.5), of.adamw(1e-2))
    tx = of.sharding.zero(make, mesh, "data", layout=layout)
    with jax.set_mesh(mesh):
        params = placed(mesh)
        found, state, step = two_steps(tx, params, of.sharding.init(tx, params))
    assert step._cache_size() == 1
    exp_avg = of.find_in_state(state, "exp_avg")
    for name, spec in CUT.items():
        own, whole = exp_avg[name], found[name]
        assert own.sharding.is_equivalent_to(NamedSharding(mesh, spec), own.ndim), name
        kept = NamedSharding(mesh, LAYOUT[name])
        assert whole.sharding.is_equivalent_to(kept, whole.ndim), name
    start = parameters()
    expected, _, _ = two_steps(make, start, make.init(start))
    # The norm is a sum in another order.
    chex.assert_trees_all_close(jax.device_get(found), expected, rtol=1e-6, atol=1e-7)


def test_what_cannot_be_cut_keeps_its_layout():
    mesh = on_mesh()
    tx = of.sharding.zero(of.adamw(), mesh, "data", layout=P("tensor"))
    params = {"w": jax.device_put(jnp.ones(6), NamedSharding(mesh, P("tensor")))}
    state = of.sharding.init(tx, params)
    exp_avg = of.find_in_state(state, "exp_avg")["w"]
    assert exp_avg.sharding.is_equivalent_to(params["w"].sharding, 1)


def test_parameters_on_the_axis_need_a_layout():
    mesh = on_mesh()
    tx = of.sharding.zero(of.adamw(), mesh, "data")
    with pytest.raises(ValueError, match="the parameter 'own' is sharded over 'data'"):
        tx.init(placed(mesh))


@pytest.mark.parametrize(
    ("layout", "error", "message"),
    [
        ({"w": "data"}, TypeError, "of jax.sharding.PartitionSpec, found 'data' at"),
        ({"w": P("x")}, ValueError, "layout at 'w' is 'x', but the mesh has 'data'"),
    ],
)
def test_bad_layouts_are_named(layout, error, message):
    with pytest.raises(error, match=message):
        of.sharding.zero(of.adamw(), on_mesh(), "data", layout=layout)
