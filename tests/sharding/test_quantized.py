"""Codes are cut over the mesh as their parameters are, wherever blocks end."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import optifunc as of

KINDS = {"automatic": AxisType.Auto, "explicit": AxisType.Explicit}
# With blocks of 16 numbers: along the last axis of 48, else over both axes.
SHAPES = {"rows": (8, 48), "all": (16, 12), "short": (2, 20)}
LAYOUTS = {
    "first": {"rows": P("data"), "all": P("data"), "short": P("data")},
    "last": dict.fromkeys(SHAPES, P(None, "model")),
    "both": dict.fromkeys(SHAPES, P("data", "model")),
}


def on_mesh(kind="automatic"):
    return jax.make_mesh((2, 2), ("data", "model"), axis_types=(KINDS[kind],) * 2)


def parameters():
    generator = np.random.default_rng(0)
    return {
        name: jnp.asarray(generator.standard_normal(shape, np.float32))
        for name, shape in SHAPES.items()
    }


def make(**options):
    return of.quantized(of.adamw(1e-2), min_size=1, block_size=16, **options)


@pytest.mark.parametrize(
    ("layout", "options", "expected"),
    [
        # Codes and scales; 40 numbers in two parts are no whole blocks.
        (
            "first",
            {},
            {
                "rows": [("data",), ("data",)],
                "all": [("data",), ("data",)],
                "short": [("data",), ()],
            },
        ),
        # Three blocks in two parts.
        (
            "last",
            {},
            {
                "rows": [(None, "model"), ()],
                "all": [("model",), ()],
                "short": [("model",), ()],
            },
        ),
        (
            "both",
            {},
            {
                "rows": [("data", "model"), ("data",)],
                "all": [(("data", "model"),), ()],
                "short": [(("data", "model"),), ()],
            },
        ),
        (
            "both",
            {"by_row": True, "bits": 4},
            {
                "rows": [("data", "model"), ("data",)],
                "all": [("data", "model"), ("data",)],
                "short": [("data", "model"), ("data",)],
            },
        ),
    ],
)
def test_codes_are_cut_as_their_parameter(layout, options, expected):
    mesh = on_mesh()
    shapes = {
        name: jax.ShapeDtypeStruct(
            shape, jnp.float32, sharding=NamedSharding(mesh, LAYOUTS[layout][name])
        )
        for name, shape in SHAPES.items()
    }
    shardings = of.sharding.state_shardings(make(**options), shapes)
    for field in ("exp_avg", "exp_avg_sq"):
        found = {
            name: [tuple(x.codes.spec), tuple(x.scales.spec)]
            for name, x in of.find_in_state(shardings, field).items()
        }
        assert found == expected


def two_steps(tx, params, state, jit=True, shardings=None):
    def step(params, state):
        updates, state = tx.update(jax.tree.map(jnp.sin, params), state, params)
        return of.apply_updates(params, updates), state

    step = jax.jit(step, out_shardings=shardings) if jit else step
    for _ in range(2):
        params, state = step(params, state)
    return jax.device_get(params), state


def check_steps(kind, layout, options, jit):
    tx, values, mesh = make(**options), parameters(), on_mesh(kind)
    expected, plain_state = two_steps(tx, values, tx.init(values))
    own = {k: NamedSharding(mesh, spec) for k, spec in LAYOUTS[layout].items()}
    with jax.set_mesh(mesh):
        params = jax.device_put(values, own)
        state, shardings = tx.init(params), of.sharding.state_shardings(tx, params)
        found, new = two_steps(tx, params, state, jit, (own, shardings))
    for leaf, other, sharding in zip(
        *map(jax.tree.leaves, (state, new, shardings)), strict=True
    ):
        assert leaf.sharding.is_equivalent_to(sharding, leaf.ndim)
        assert other.sharding.is_equivalent_to(sharding, leaf.ndim)
    # The same codes, and scales up to a rounding: another program contracts other
    # products and sums.
    chex.assert_trees_all_close(
        jax.device_get(new), jax.device_get(plain_state), rtol=2e-7, atol=0
    )
    chex.assert_trees_all_close(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "options", "kind"),
    [
        ("first", {}, "explicit"),
        ("last", {}, "automatic"),
        ("last", {"map": "companded"}, "explicit"),
        ("both", {"bits": 4}, "automatic"),
        ("both", {"bits": 4}, "explicit"),
        ("both", {"by_row": True}, "explicit"),
    ],
)
def test_the_numbers_are_those_of_one_device(layout, options, kind):
    check_steps(kind, layout, options, jit=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "layout"), [("automatic", "last"), ("explicit", "first")]
)
def test_nothing_needs_to_be_compiled(kind, layout):
    check_steps(kind, layout, {}, jit=False)


@pytest.mark.slow
def test_a_compiled_init_cuts_blocks_over_all_axes():
    mesh, tx = on_mesh(), make()
    sharding = NamedSharding(mesh, P("data"))
    params = {"all": jax.device_put(jnp.ones(SHAPES["all"]), sharding)}
    average = of.find_in_state(jax.jit(tx.init)(params), "exp_avg")["all"]
    for leaf in (average.codes, average.scales):
        assert leaf.sharding.is_equivalent_to(sharding, leaf.ndim)
