"""ZeRO: the numbers of one device, an eighth of the state, few exchanges."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import optifunc as of

from .programs import exchanged_bytes

pytestmark = pytest.mark.slow

KINDS = {"automatic": AxisType.Auto, "explicit": AxisType.Explicit}


def on_mesh(kind="automatic", devices=8):
    return jax.make_mesh((devices,), ("data",), axis_types=(KINDS[kind],))


def parameters():
    return {
        "kernel": jnp.linspace(-1, 1, 16 * 8).reshape(16, 8),
        "bias": jnp.linspace(0.5, 1, 8),
        "odd": jnp.ones(3),  # nothing in it that eight devices could share
    }


def loss(params, x, out_sharding=None):
    y = jnp.matmul(x, params["kernel"], out_sharding=out_sharding)
    y = y + jnp.broadcast_to(params["bias"], y.shape, out_sharding=out_sharding)
    return jnp.mean(jnp.square(y)) + jnp.sum(jnp.square(params["odd"]))


def inputs():
    return jnp.linspace(-1, 1, 64 * 16).reshape(64, 16)


def clipped_adamw():
    return of.chain(of.clip_by_global_norm(0.5), of.adamw(1e-2))


def training_step(tx, out_sharding=None):
    def step(params, state, x):
        grads = jax.grad(loss)(params, x, out_sharding)
        updates, state = tx.update(grads, state, params)
        return of.apply_updates(params, updates), state

    return step


def on_one_device(make, steps=3):
    tx, params = make(), parameters()
    state = tx.init(params)
    step = jax.jit(training_step(tx))
    for _ in range(steps):
        params, state = step(params, state, inputs())
    return params


@pytest.mark.parametrize("offload", [False, True])
@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_and_shardings(kind, stage, offload):
    mesh = on_mesh(kind)
    with jax.set_mesh(mesh):
        params = jax.device_put(parameters(), NamedSharding(mesh, P()))
        x = jax.device_put(inputs(), NamedSharding(mesh, P("data")))
        tx = of.sharding.zero(
            clipped_adamw(), mesh, "data", stage=stage, offload=offload
        )
        state = of.sharding.init(tx, params)
        out = P("data") if kind == "explicit" else None
        step = jax.jit(training_step(tx, out))
        for _ in range(3):
            params, state = step(params, state, x)
    assert all(p.sharding.is_fully_replicated for p in params.values())
    moments = of.find_in_state(state, "exp_avg")
    memory = "pinned_host" if offload else "device"
    for name, spec in {"kernel": P("data"), "bias": P("data"), "odd": P()}.items():
        own = NamedSharding(mesh, spec, memory_kind=memory)
        assert moments[name].sharding.is_equivalent_to(own, moments[name].ndim)
    # Sums over the batch are taken in eight parts.
    chex.assert_trees_all_close(
        jax.device_get(params), on_one_device(clipped_adamw), rtol=1e-6, atol=1e-6
    )


def test_exchanges():
    """One sum of the gradients, one of the norm, one gathering for each update."""
    mesh = on_mesh()
    params = jax.device_put(parameters(), NamedSharding(mesh, P()))
    x = jax.device_put(inputs(), NamedSharding(mesh, P("data")))
    tx = of.sharding.zero(clipped_adamw(), mesh, "data")
    state = of.sharding.init(tx, params)
    step = jax.jit(training_step(tx), donate_argnums=(0, 1))
    program = step.lower(params, state, x).compile().as_text()
    # The gradients are as large as the parameters, and 100 bytes are enough for norms.
    size = sum(p.nbytes for p in params.values())
    assert exchanged_bytes(program, "all-reduce", "reduce-scatter") <= size + 100
    assert exchanged_bytes(program, "all-gather") <= size
    assert not exchanged_bytes(program, "all-to-all", "collective-permute")


@pytest.mark.parametrize(
    ("make", "size"), [(lambda: of.adamw(1e-2), 0), (clipped_adamw, 4)]
)
def test_exchanges_of_sharded_parameters(make, size):
    """An update by element needs none, a norm one sum of a scalar."""
    mesh = on_mesh()
    kernel = jax.device_put(parameters()["kernel"], NamedSharding(mesh, P("data")))
    tx = make()
    state = tx.init({"kernel": kernel})
    update = jax.jit(tx.update)
    program = update.lower({"kernel": kernel}, state, {"kernel": kernel}).compile()
    assert exchanged_bytes(program.as_text()) == size


def test_a_device_holds_an_eighth():
    """Of the state of GPT-2 small, from its shapes; scalars are on every device."""
    width, vocabulary, context = 768, 50257, 1024
    shapes = {"wte": (vocabulary, width), "wpe": (context, width)}
    for i in range(12):
        for name, outputs in (("attn", 3 * width), ("proj", width), ("fc", 4 * width)):
            shapes[f"h{i}.{name}"] = (width, outputs)
        shapes[f"h{i}.out"] = (4 * width, width)
    mesh = on_mesh()
    replicated = NamedSharding(mesh, P())
    params = {
        name: jax.ShapeDtypeStruct(shape, jnp.float32, sharding=replicated)
        for name, shape in shapes.items()
    }
    count = sum(int(np.prod(shape)) for shape in shapes.values())
    assert 120e6 < count < 130e6
    tx = of.sharding.zero(of.adamw(1e-3), mesh, "data")
    state = of.sharding.abstract_state(tx, params)
    held = sum(
        int(np.prod(leaf.sharding.shard_shape(leaf.shape))) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(state)
    )
    assert held == 2 * 4 * count // 8 + 4  # two moments, and the counter
    # The compiler plans for no more: parameters and gradients are whole.
    step = jax.jit(tx.update).lower(params, state, params).compile()
    arguments = step.memory_analysis().argument_size_in_bytes
    assert arguments == pytest.approx(2 * 4 * count + held, rel=1e-3)


FACTORED = {
    "soap": (lambda: of.soap(1e-2, eps=1e-2, precondition_frequency=1), ("GG", "Q")),
    "kron": (lambda: of.kron(1e-2), ("Q",)),
}


@pytest.mark.parametrize("offload", [False, True])
@pytest.mark.parametrize(
    ("name", "kind"), [("soap", "explicit"), ("kron", "automatic")]
)
def test_factors_are_in_parts_too(name, kind, offload):
    make, fields = FACTORED[name]
    values = {"square": jnp.cos(jnp.arange(64.0)).reshape(8, 8)}
    mesh = on_mesh(kind)

    def two_steps(tx, params, state, shardings=None):
        def step(params, state):
            updates, state = tx.update(params, state, params)
            return of.apply_updates(params, updates), state

        step = jax.jit(step, out_shardings=shardings)
        for _ in range(2):
            params, state = step(params, state)
        return jax.device_get(params), state

    with jax.set_mesh(mesh):
        own = NamedSharding(mesh, P())
        params = jax.device_put(values, own)
        tx = of.sharding.zero(make(), mesh, "data", offload=offload)
        shardings = of.sharding.state_shardings(tx, params)
        found, state = two_steps(
            tx, params, of.sharding.init(tx, params), (own, shardings)
        )
    for field in fields:
        factors = of.find_in_state(state, field)["square"]
        for factor, spec in zip(factors, (P("data"), P(None, "data")), strict=True):
            memory = "pinned_host" if offload else "device"
            cut = NamedSharding(mesh, spec, memory_kind=memory)
            assert factor.sharding.is_equivalent_to(cut, 2)
    expected, _ = two_steps(make(), values, make().init(values))
    # Sums are taken in other orders, and products of factors amplify that.
    chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-5)


def test_it_wraps_optax_and_reads_its_roles():
    mesh = on_mesh()
    params = jax.device_put(parameters(), NamedSharding(mesh, P()))
    tx = of.sharding.zero(optax.adam(1e-2), mesh, "data")
    state = tx.init(params)
    assert state[0].mu["kernel"].sharding.spec == P("data")
    plain, start = optax.adam(1e-2), parameters()
    with jax.numpy_dtype_promotion("standard"):  # optax relies on it
        updates, state = jax.jit(tx.update)(params, state, params)
        expected, _ = plain.update(start, plain.init(start))
    chex.assert_trees_all_close(jax.device_get(updates), expected, rtol=1e-6)


def test_averages_are_evaluated_whole():
    mesh = on_mesh()
    params = jax.device_put(parameters(), NamedSharding(mesh, P()))

    def make():
        return of.schedule_free_sgd(0.1)

    tx = of.sharding.zero(make(), mesh, "data")
    state = tx.init(params)
    updates, state = jax.jit(tx.update)(params, state, params)
    params = of.apply_updates(params, updates)
    found = of.eval_params(tx, state, params)
    assert found["kernel"].sharding.is_fully_replicated
    plain, start = make(), parameters()
    updates, plain_state = plain.update(start, plain.init(start), start)
    expected = of.eval_params(plain, plain_state, of.apply_updates(start, updates))
    chex.assert_trees_all_close(jax.device_get(found), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"mesh": "cpu"}, TypeError, "mesh must be a jax.sharding.Mesh, found 'cpu'"),
        ({"axis": "model"}, ValueError, "axis is 'model', but the mesh has 'data'"),
        ({"stage": 3}, ValueError, "stage"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    given = {"mesh": on_mesh(), "axis": "data", **arguments}
    with pytest.raises(error, match=message):
        of.sharding.zero(of.adam(), **given)


def test_a_platform_without_the_memory_is_named(monkeypatch):
    monkeypatch.setattr("optifunc.sharding._zero.HOST_MEMORY", "nowhere")
    with pytest.raises(ValueError, match="offload needs the memory 'nowhere', but"):
        of.sharding.zero(of.adam(), on_mesh(), "data", offload=True)


def test_missing_params_are_named():
    mesh = on_mesh()
    params = parameters()
    tx = of.sharding.zero(of.sgd(0.1), mesh, "data")
    with pytest.raises(ValueError, match="zero needs the parameters"):
        tx.update(params, tx.init(params))
