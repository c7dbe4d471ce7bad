"""States from shapes: every wrapper and average gives what it gives for arrays."""

import chex
import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import optifunc as of
from optifunc import find_all_in_state

from ..test_product import WRAPPERS

SPECS = {"kernel": P("data", "model"), "bias": P("model")}
OTHERS = {
    "ema_parameters": of.ema_parameters,
    "ema_parameters_late": lambda: of.ema_parameters(every=2, start=1),
    "ema_parameters_narrow": lambda: of.ema_parameters(dtype=jnp.bfloat16),
    "snapshot": lambda: of.snapshot("gradients"),
    "ema": lambda: of.ema(0.9),
    "grokfast_ma": lambda: of.grokfast_ma(3),
    "sam": lambda: of.sam(of.sgd(0.1, momentum=0.9)),
    "sam_in_turns": lambda: of.sam_in_turns(of.sgd(0.1, momentum=0.9)),
    "schedule_free": lambda: of.schedule_free(of.adam(0.1)),
    "mechanize": lambda: of.mechanize(of.adam(0.1)),
    "cautious": lambda: of.cautious(of.adam(0.1)),
    "grams": lambda: of.grams(of.adam(0.1)),
    "quantized_by_row": lambda: of.quantized(
        of.adam(0.1), block_size=2, min_size=1, by_row=True
    ),
    "zero": lambda: of.sharding.zero(of.adam(0.1), mesh(), "data", layout=SPECS),
    "spread_matrices": lambda: of.sharding.spread_matrices(
        of.muon(0.1), mesh(), "data"
    ),
}
MAKERS = {w.name: lambda w=w: w.build(of.adamw(0.1)) for w in WRAPPERS} | OTHERS


def mesh():
    types = (AxisType.Auto,) * 2
    return jax.make_mesh((2, 2), ("data", "model"), axis_types=types)


def parameters(name):
    params = {"kernel": jnp.ones((8, 4)), "bias": jnp.ones(4)}
    if name == "spread_matrices":  # muon's are matrices
        del params["bias"]
    own = mesh()
    specs = {name: NamedSharding(own, SPECS[name]) for name in params}
    return jax.device_put(params, specs)


@pytest.mark.parametrize("name", MAKERS)
def test_a_state_of_shapes(name):
    tx, params = MAKERS[name](), parameters(name)
    shapes = jax.tree.map(
        lambda p: jax.ShapeDtypeStruct(p.shape, p.dtype, sharding=p.sharding), params
    )
    state = tx.init(params)
    for found in (
        tx.init(shapes),
        jax.eval_shape(tx.init, shapes),
        jax.eval_shape(lambda: tx.init(shapes)),
        of.sharding.abstract_state(tx, shapes),
    ):
        leaves = jax.tree.leaves(found)
        assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)
        chex.assert_trees_all_equal_shapes_and_dtypes(state, found)
    # Where a vector of several leaves lies, XLA decides.
    if not find_all_in_state(state, of.FlattenState):
        for leaf, shape in zip(
            jax.tree.leaves(state), jax.tree.leaves(tx.init(shapes)), strict=True
        ):
            assert leaf.sharding.is_equivalent_to(shape.sharding, leaf.ndim)


ALONG = {  # the shapes and layouts of a parameter of [8, 4], by ("data", "model")
    (8, 4): P("data", "model"),
    (8, 1): P("data"),
    (1, 4): P(None, "model"),
    (8, 2): P("data", "model"),  # scales of blocks of two
}


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (of.adafactor, {(8, 1), (1, 4)}),
        (of.sm3, {(8, 1), (1, 4), (8, 4)}),
        (OTHERS["quantized_by_row"], {(8, 4), (8, 2)}),
        (of.adamw, {(8, 4)}),
    ],
    ids=["adafactor", "sm3", "quantized", "adamw"],
)
def test_means_and_blocks_lie_along_what_is_left_of_their_parameter(make, expected):
    sharding = NamedSharding(mesh(), SPECS["kernel"])
    params = {"kernel": jax.ShapeDtypeStruct((8, 4), jnp.float32, sharding=sharding)}
    found = set()
    for leaf in jax.tree.leaves(make().init(params)):
        spec = ALONG.get(leaf.shape, P())
        found |= {leaf.shape} & ALONG.keys()
        own = NamedSharding(mesh(), spec)
        assert leaf.sharding.is_equivalent_to(own, len(leaf.shape)), leaf
    assert found == expected
