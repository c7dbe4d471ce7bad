"""The one table on meshes: numbers of one device, and state beside its parameters."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import optifunc as of
from optifunc import find_all_in_state

from ..table import ROWS, Row

LAYOUTS = {
    "replicated": P(),
    "fsdp": P("data"),
    "tensor": P(None, "model"),
    "both": P("data", "model"),
}
KINDS = {"automatic": AxisType.Auto, "explicit": AxisType.Explicit}
MODES = ("jit", "scan", "eager")
STEPS = 2
# States with vectors of all numbers of the parameters.
VECTORS = (of.FlattenState, of.StepByLbfgsState, of.ScaleByLbfgsState)

# Sparse rows have a layout of their own.
DENSE = [row for row in ROWS if not row.sparse]
# Each row meets other members of the columns than the rows before it.
CASES = [
    (row, *combination)
    for row, combination in zip(
        DENSE,
        itertools.cycle(itertools.product(KINDS, MODES[:2], LAYOUTS)),
        strict=False,
    )
]
# In the other kind of mesh, laid otherwise, and without compilation every third time.
OTHERS = [
    (row, "explicit" if kind == "automatic" else "automatic", mode, layout)
    for (row, kind, _, _), mode, layout in zip(
        CASES[::2],
        itertools.cycle(("scan", "jit", "eager")),
        itertools.cycle(("both", "tensor", "fsdp", "replicated", "both")),
        strict=False,
    )
]


def on_mesh(kind: str):
    types = (KINDS[kind],) * 2
    # Not more devices than needed: some of them wait for others at each exchange.
    return jax.make_mesh((2, 2), ("data", "model"), axis_types=types)


def parameters(row: Row):
    # So small that XLA's CPU client runs a program's parts in one order.
    params = {"kernel": np.linspace(-0.9, 1.0, 32, dtype=np.float32).reshape(8, 4)}
    if not row.matrices:
        params["bias"] = np.linspace(0.1, 1, 4, dtype=np.float32)
    return params


def placed(params, mesh, spec):
    last = spec[1] if len(spec) > 1 else None
    specs = {"kernel": spec, "bias": P() if last is None else P(last)}
    return {
        k: jax.device_put(p, NamedSharding(mesh, specs[k])) for k, p in params.items()
    }


def steps(row: Row, tx, params, state, mode: str, shardings=None):
    def step(carry, _):
        params, state = carry
        grads = row.gradient(params)
        updates, state = tx.update(grads, state, params, **row.extra(params))
        return (of.apply_updates(params, updates), state), None

    if mode == "eager":
        for _ in range(STEPS):
            (params, state), _ = step((params, state), None)
        return params, state

    def run(params, state):
        if mode == "scan":
            return jax.lax.scan(step, (params, state), None, STEPS)[0]
        for _ in range(STEPS):
            (params, state), _ = step((params, state), None)
        return params, state

    run = jax.jit(run, out_shardings=shardings)
    result = run(params, state)
    if shardings is not None:
        compilations = []
        jax.monitoring.register_event_duration_secs_listener(
            listener := lambda event, *_, **__: compilations.append(event)
        )
        run(*result)
        jax.monitoring.unregister_event_duration_listener(listener)
        assert not [e for e in compilations if "backend_compile" in e]
    return result


def check(row: Row, kind: str, mode: str, layout: str) -> None:
    mesh, tx, values = on_mesh(kind), row.build(), parameters(row)
    with jax.set_mesh(mesh):
        params = placed(values, mesh, LAYOUTS[layout])
        state = tx.init(params)
        shardings = of.sharding.state_shardings(tx, params)
        for leaf, sharding in zip(
            jax.tree.leaves(state), jax.tree.leaves(shardings), strict=True
        ):
            assert leaf.sharding.is_equivalent_to(sharding, leaf.ndim)
        own = jax.tree.map(lambda p: p.sharding, params)
        found, new_state = steps(row, tx, params, state, mode, (own, shardings))
        for name, p in found.items():
            assert p.sharding.is_equivalent_to(params[name].sharding, p.ndim)
        for leaf, sharding in zip(
            jax.tree.leaves(new_state), jax.tree.leaves(shardings), strict=True
        ):
            assert leaf.sharding.is_equivalent_to(sharding, leaf.ndim)
        found = jax.device_get(found)
    plain = jax.tree.map(jnp.asarray, values)
    expected, _ = steps(row, tx, plain, tx.init(plain), "jit")
    # Sums are taken in another order, and where a rule cancels (orthograd) rounding
    # of 6e-8 grows; a matrix in bfloat16 rounds off 2^-8.
    tolerance = 1e-3 if row.matrices or row.bases else 1e-5
    chex.assert_trees_all_close(found, expected, rtol=tolerance, atol=tolerance)


def cases(found, quick=lambda i: False):
    return pytest.mark.parametrize(
        ("row", "kind", "mode", "layout"),
        [
            pytest.param(
                *case,
                id="-".join((case[0].name, *case[1:])),
                marks=() if quick(i) else pytest.mark.slow,
            )
            for i, case in enumerate(found)
        ],
    )


@cases(CASES, quick=lambda i: i % 3 == 0)
def test_on_a_mesh(row, kind, mode, layout):
    check(row, kind, mode, layout)


@cases(OTHERS)
def test_on_another_mesh(row, kind, mode, layout):
    check(row, kind, mode, layout)


@pytest.mark.slow
@pytest.mark.parametrize("row", DENSE, ids=lambda row: row.name)
def test_a_state_made_in_a_compiled_program_lies_where_it_belongs(row):
    mesh, tx = on_mesh("automatic"), row.build()
    params = placed(parameters(row), mesh, LAYOUTS["both"])
    with jax.set_mesh(mesh):
        made = jax.jit(tx.init)(params)
    shardings = of.sharding.state_shardings(tx, params)
    for leaf, sharding in zip(
        jax.tree.leaves(made), jax.tree.leaves(shardings), strict=True
    ):
        # Where a vector of several leaves lies, XLA decides.
        if not any(find_all_in_state(made, kind) for kind in VECTORS):
            assert leaf.sharding.is_equivalent_to(sharding, leaf.ndim)


@pytest.mark.cheap
@pytest.mark.slow
@pytest.mark.parametrize("row", DENSE, ids=lambda row: row.name)
def test_types_inside_a_compiled_program_are_those_outside(row):
    mesh, tx = on_mesh("explicit"), row.build()
    with jax.set_mesh(mesh):
        params = placed(parameters(row), mesh, LAYOUTS["both"])
        state, inside = tx.init(params), jax.eval_shape(tx.init, params)
    for leaf, kind in zip(jax.tree.leaves(state), jax.tree.leaves(inside), strict=True):
        # Of what is whole on each device a type may say nothing.
        spec = P() if kind.sharding is None else kind.sharding.spec
        own = NamedSharding(mesh, spec)
        assert leaf.sharding.is_equivalent_to(own, leaf.ndim)


@pytest.mark.cheap
@pytest.mark.parametrize("row", DENSE, ids=lambda row: row.name)
def test_shapes_in_shapes_out(row):
    tx, values = row.build(), jax.tree.map(jnp.asarray, parameters(row))
    shapes = jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.shape, p.dtype), values)
    state, abstract = tx.init(values), tx.init(shapes)
    assert all(
        isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(abstract)
    )
    chex.assert_trees_all_equal_shapes_and_dtypes(state, abstract)
