"""A run of eight devices goes on elsewhere from what Orbax has saved: same numbers."""

import chex
import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import optifunc as of

ocp = pytest.importorskip("orbax.checkpoint", reason="the extra `test` has it")
LAYOUT = {"kernel": P("data", "model"), "bias": P("model")}
SIZES = [(2, 4), (4, 1), (1, 1)]
START = {"kernel": jnp.linspace(-1, 1, 128).reshape(16, 8), "bias": jnp.ones(8)}
TARGET = 0.3


def on_mesh(sizes):
    devices = jax.devices()[: sizes[0] * sizes[1]]
    types = (AxisType.Auto,) * 2
    return jax.make_mesh(sizes, ("data", "model"), axis_types=types, devices=devices)


def shardings_on(mesh):
    return {name: NamedSharding(mesh, spec) for name, spec in LAYOUT.items()}


def shapes_on(mesh):
    return jax.tree.map(
        lambda p, s: jax.ShapeDtypeStruct(p.shape, p.dtype, sharding=s),
        START,
        shardings_on(mesh),
    )


def optimizer(mesh):
    tx = of.chain(of.clip_by_global_norm(0.5), of.adamw(0.05))
    return of.sharding.zero(tx, mesh, "data", layout=LAYOUT)


def loss_fn(params):
    return sum(jnp.sum(jnp.square(p - TARGET)) for p in params.values())


def pure(tx, params, state, steps):
    @jax.jit
    def step(params, state):
        updates, state = tx.update(jax.grad(loss_fn)(params), state, params)
        return of.apply_updates(params, updates), state

    state = of.sharding.init(tx, params) if state is None else state
    for _ in range(steps):
        params, state = step(params, state)
    return params, state


def stateful(tx, params, state, steps):
    optimizer = of.optim.Stateful(tx, params)
    if state is not None:
        optimizer.load_functional(state, params)
    step = optimizer.compile_step(loss_fn)
    for _ in range(steps):
        step()
    _, state, params = optimizer.functional()
    return params, state


@pytest.mark.slow
@pytest.mark.parametrize("run", [pure, stateful])
def test_eight_devices_and_then_others(run, tmp_path):
    eight = on_mesh((8, 1))
    tx = optimizer(eight)
    params, state = run(tx, jax.device_put(START, shardings_on(eight)), None, 2)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "saved", {"params": params, "state": state})
    expected, _ = run(tx, params, state, 2)
    for sizes in SIZES:
        mesh = on_mesh(sizes)
        tx, shapes = optimizer(mesh), shapes_on(mesh)
        wanted = {"params": shapes, "state": of.sharding.abstract_state(tx, shapes)}
        with ocp.StandardCheckpointer() as checkpointer:
            saved = checkpointer.restore(tmp_path / "saved", wanted)
        found, state = run(tx, saved["params"], saved["state"], 2)
        # The norm is a sum in another order.
        chex.assert_trees_all_close(
            jax.device_get(found), jax.device_get(expected), rtol=1e-6, atol=1e-7
        )
        is_sharded = [
            leaf.sharding.is_equivalent_to(shape.sharding, leaf.ndim)
            for leaf, shape in zip(
                jax.tree.leaves(state), jax.tree.leaves(wanted["state"]), strict=True
            )
        ]
        assert all(is_sharded), sizes


def test_a_state_dict_gathers_and_loads_onto_another_topology():
    eight, four = on_mesh((8, 1)), on_mesh((2, 2))

    def made(mesh):
        return of.optim.AdamW(jax.device_put(START, shardings_on(mesh)), lr=0.05)

    first = made(eight)
    for _ in range(2):
        first.step(grads=first.params)
    saved = first.state_dict(gather=True)
    assert saved["state"][1]["exp_avg"].shape == (16, 8)
    second = made(four)
    second.params = jax.device_put(first.params, shardings_on(four))
    second.load_state_dict(saved)
    for optimizer in (first, second):
        optimizer.step(grads=optimizer.params)
    _, state, params = second.functional()
    exp_avg = of.find_in_state(state, "exp_avg")["kernel"]
    assert exp_avg.sharding.is_equivalent_to(shardings_on(four)["kernel"], 2)
    # Element by element, the same program on other parts.
    chex.assert_trees_all_equal(*map(jax.device_get, (params, first.params)))
