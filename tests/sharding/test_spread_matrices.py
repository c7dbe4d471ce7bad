"""Whole matrices on each device: the same numbers, few exchanges, none in loops."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import optifunc as of

from .programs import exchanged_bytes


def matrices(count=6):
    generator = np.random.default_rng(0)
    return {
        f"w{i}": jnp.asarray(
            generator.standard_normal((16, 24) if i % 2 else (24, 16)), jnp.float32
        )
        for i in range(count)
    }


def on_mesh(kind=AxisType.Auto):
    return jax.make_mesh((8,), ("data",), axis_types=(kind,))


def two_steps(tx, params):
    state = tx.init(params)

    @jax.jit
    def step(params, state):
        updates, state = tx.update(params, state, params)
        return of.apply_updates(params, updates), state

    program = step.lower(params, state).compile().as_text()
    for _ in range(2):
        params, state = step(params, state)
    return jax.device_get(params), program


def muon():
    return of.muon(0.02, ns_dtype=jnp.float32)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("spec", [P(), P("data")])
def test_muon(kind, spec):
    values = matrices()
    expected, _ = two_steps(muon(), values)
    mesh = on_mesh(kind)
    with jax.set_mesh(mesh):
        params = jax.device_put(values, NamedSharding(mesh, spec))
        tx = of.sharding.spread_matrices(muon(), mesh, "data")
        found, program = two_steps(tx, params)
    # Products of other batches are rounded in another order.
    chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=1e-6)
    # Six matrices fill up eight devices, and travel there and back.
    size = 4 * 8 * 16 * 24
    assert exchanged_bytes(program) <= 2 * 1.1 * size


def test_nothing_travels_inside_the_loop():
    mesh = on_mesh()
    params = jax.device_put(matrices(), NamedSharding(mesh, P("data")))
    tx = of.sharding.spread_matrices(muon(), mesh, "data")
    _, program = two_steps(tx, params)
    bodies = re.findall(r"body=%?([\w.-]+)", program)
    assert bodies
    for body in bodies:
        start = program.index(f"%{body} (")
        text = program[start : program.index("\n}", start)]
        assert not exchanged_bytes(text)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize(
    "make",
    [
        lambda: of.soap(0.01, precondition_frequency=1),
        lambda: of.shampoo(0.01),
        lambda: of.kron(0.01),
        lambda: of.dion(0.01),
        lambda: of.normuon(0.01),
        lambda: of.scion(0.01),
    ],
    ids=["soap", "shampoo", "kron", "dion", "normuon", "scion"],
)
def test_others(make, kind):
    values = matrices(3)
    expected, _ = two_steps(make(), values)
    mesh = on_mesh(kind)
    with jax.set_mesh(mesh):
        params = jax.device_put(values, NamedSharding(mesh, P()))
        tx = of.sharding.spread_matrices(make(), mesh, "data")
        found, _ = two_steps(tx, params)
    # bfloat16 products (normuon, scion) round off 2^-8.
    chex.assert_trees_all_close(found, expected, rtol=1e-3, atol=1e-3)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="axis is 'x', but the mesh has 'data'"):
        of.sharding.spread_matrices(of.muon(), on_mesh(), "x")
    with pytest.raises(TypeError, match=r"mesh must be a jax\.sharding\.Mesh"):
        of.sharding.spread_matrices(of.muon(), None, "x")
