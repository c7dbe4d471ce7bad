"""Every wrapper over every optimizer, and over every other wrapper.

Each wrapper is set so that it changes nothing: what it holds must then do what it does
alone. Where nothing is compiled (`jax.disable_jit`) a combination takes milliseconds.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import optifunc as of
from optifunc import optim

from .rows import torch
from .table import ROWS, Row

STEPS = 3

# Members that would make an average meaningless follow it here. They change nothing.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.* averages parameters that training never has:UserWarning"
)


@dataclasses.dataclass(frozen=True)
class Wrapper:
    """A wrapper that changes nothing, and what it takes."""

    name: str
    build: Callable[[Any], of.GradientTransformation]
    repeats: int = 1  # updates of the whole for one of the inner transformation
    by_element: bool = False  # the inner transformation sees other shapes
    sparse: bool = True  # sparse gradients are accepted


def is_any(path, leaf):
    return True


def label_any(params):
    return jax.tree.map(lambda _: "all", params)


def depth_any(path, leaf):
    return 0 if "kernel" in path else 1


def always(step):
    return jnp.ones((), bool)


WRAPPERS = [
    Wrapper("chain", lambda tx: of.chain(before=of.identity(), tx=tx)),
    Wrapper("masked", lambda tx: of.masked(tx, is_any)),
    Wrapper(
        "partition",
        lambda tx: of.partition({"all": tx, "no": of.scale(2.0)}, label_any),
    ),
    Wrapper("flatten", of.flatten, by_element=True, sparse=False),
    Wrapper(
        "accumulate_gradients",
        lambda tx: of.accumulate_gradients(tx, 2),
        repeats=2,
        sparse=False,
    ),
    Wrapper("skip_not_finite", of.skip_not_finite),
    Wrapper("skip_large_updates", lambda tx: of.skip_large_updates(tx, jnp.inf)),
    Wrapper("skip_outliers", of.skip_outliers),
    Wrapper("monitor", of.monitor),
    Wrapper("conditionally", lambda tx: of.conditionally(tx, always)),
    Wrapper("scheduled", of.scheduled),
    Wrapper("master_weights", of.master_weights),
    Wrapper("kahan", of.kahan),
    Wrapper("stochastic_rounding", of.stochastic_rounding),
    Wrapper("split_weights", of.split_weights),
    Wrapper("dynamic_loss_scale", lambda tx: of.dynamic_loss_scale(tx, 1.0)),
    Wrapper("quantized", of.quantized),  # leaves small parameters out; see below
    Wrapper("state_dtype", lambda tx: of.state_dtype(tx, jnp.float32)),
    Wrapper(
        "project",
        lambda tx: of.chain(tx, of.project(of.projections.box, {"upper": 1e6})),
        sparse=False,
    ),
    Wrapper("lookahead", lambda tx: of.lookahead(tx, 2, 1.0), sparse=False),
    Wrapper(
        "layerwise_decay",
        lambda tx: of.chain(
            of.layerwise_decay(tx, {"kernel": 0, "bias": 0}, 1.0, depth_any),
            of.ema_parameters(),
            of.lawa_parameters(2, 1),
        ),
    ),
]
# Of these one is enough.
NARROW = {"master_weights", "kahan", "stochastic_rounding", "split_weights"}
FOREIGN = [
    Row("optax.adam", lambda: optax.adam(0.1), optimizer=True),
    Row("optax.sgd", lambda: optax.sgd(0.1, 0.9), optimizer=True),
    Row(
        "optax.lion",
        lambda: optax.lion(0.1, weight_decay=0.1),
        optimizer=True,
        needs_params=True,
    ),
]
OPTIMIZERS = [row for row in ROWS if row.optimizer] + FOREIGN

every_wrapper = pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda w: w.name)
ADAM = next(row for row in ROWS if row.name == "adamw")


# PyTorch's optimizers and optax's meet every wrapper. Each other optimizer meets four,
# so that each wrapper meets several of every family.
COMBINED = [
    (wrapper, row)
    for i, row in enumerate(OPTIMIZERS)
    for k, wrapper in enumerate(WRAPPERS)
    if row in [*torch.ROWS, *FOREIGN] or (k - 4 * i) % len(WRAPPERS) < 4
]


def combined(*, but=lambda row: False):
    """Parametrize over `COMBINED`, without the rows for which ``but`` is true."""
    return pytest.mark.parametrize(
        ("wrapper", "row"),
        [(wrapper, row) for wrapper, row in COMBINED if not but(row)],
        ids=lambda x: x.name,
    )


def fits(wrapper, row):
    return (wrapper.sparse or not row.sparse) and not (
        wrapper.by_element and row.shapes
    )


def parameters(row):
    values = jnp.asarray(np.linspace(-0.9, 1.0, 12).reshape(4, 3), jnp.float32)
    others = {"other": values.T} if row.matrices else {"bias": values[0]}
    return {"kernel": values, **others}


def run(row, tx, params, repeats=1):
    tx = of.as_transformation(tx)
    state = tx.init(params)
    for _ in range(STEPS * repeats):
        grads = row.gradient(params)
        updates, state = tx.update(grads, state, params, **row.extra(params))
        params = of.apply_updates(params, updates)
    return params


def assert_close(found, expected):
    # The same operations, in vectors of other lengths or fused otherwise.
    chex.assert_trees_all_close(found, expected, rtol=2e-5, atol=2e-6)


@pytest.fixture(scope="module")
def alone():
    """What each optimizer does by itself."""
    results = {}

    def result(row):
        if row.name not in results:
            with jax.disable_jit():
                results[row.name] = run(row, row.build(), parameters(row))
        return results[row.name]

    return result


@combined()
def test_a_wrapper_leaves_an_optimizer_as_it_is(wrapper, row, alone):
    params = parameters(row)
    tx = wrapper.build(of.as_transformation(row.build()))
    if row.sparse and not wrapper.sparse:
        with pytest.raises(TypeError, match="sparse"):
            run(row, tx, params)
        return
    if not fits(wrapper, row):
        # Muon says that it takes matrices; Adafactor sees one vector instead.
        return
    with jax.disable_jit():
        assert_close(run(row, tx, params, wrapper.repeats), alone(row))


@pytest.mark.cheap
@every_wrapper
@pytest.mark.parametrize("outer", WRAPPERS, ids=lambda w: w.name)
def test_a_wrapper_in_a_wrapper(wrapper, outer, alone):
    if {wrapper.name, outer.name} == {"flatten", "quantized"}:
        with pytest.raises(ValueError, match=f"{outer.name} holds {wrapper.name}"):
            outer.build(wrapper.build(ADAM.build())).init(parameters(ADAM))
        return
    if {wrapper.name, outer.name} <= NARROW:
        with pytest.raises(ValueError, match=f"{wrapper.name} inside {outer.name}"):
            outer.build(wrapper.build(ADAM.build()))
        return
    tx = outer.build(wrapper.build(ADAM.build()))
    with jax.disable_jit():
        found = run(ADAM, tx, parameters(ADAM), wrapper.repeats * outer.repeats)
    assert_close(found, alone(ADAM))


# What needs the loss takes a function, which a compiled step cannot be given.
@combined(but=lambda row: row.value_fn)
def test_missing_gradients_and_checkpoints_of_a_stateful_one(wrapper, row):
    if not fits(wrapper, row):
        return
    tx = wrapper.build(of.as_transformation(row.build()))
    params = parameters(row)
    last = [*params][-1]
    with jax.disable_jit():
        optimizer = optim.Stateful(tx, params)

        def step(optimizer, grads):
            optimizer.step(grads=grads, **row.extra(optimizer.params))

        for _ in range(2):
            step(optimizer, row.gradient(optimizer.params))
        before = optimizer.params
        grads = row.gradient(before)
        for _ in range(wrapper.repeats):
            step(optimizer, {**grads, last: None})
        np.testing.assert_array_equal(optimizer.params[last], before[last])
        assert not np.array_equal(optimizer.params["kernel"], before["kernel"])

        other = optim.Stateful(tx, optimizer.params)
        saved = optimizer.state_dict()
        other.load_state_dict(saved)
        jax.tree.map(
            np.testing.assert_array_equal, other.state_dict()["state"], saved["state"]
        )
        for each in (optimizer, other):
            step(each, row.gradient(each.params))
        jax.tree.map(np.testing.assert_array_equal, optimizer.params, other.params)


@pytest.mark.parametrize("row", OPTIMIZERS, ids=lambda row: row.name)
def test_a_quantized_step_is_the_plain_step_on_what_the_codes_say(row):
    params, inner = parameters(row), of.as_transformation(row.build())
    tx = of.quantized(inner, min_size=1, block_size=8)
    with jax.disable_jit():
        state = tx.init(params)
        _, state = tx.update(row.gradient(params), state, params, **row.extra(params))
        plain = of.convert_state(state, inner, params)
        found, expected = (
            each.update(row.gradient(params), own, params, **row.extra(params))[0]
            for each, own in ((tx, state), (inner, plain))
        )
    assert_close(found, expected)
    if row.name.startswith(("adam", "optax")):
        nodes = jax.tree.leaves(
            state, is_leaf=lambda x: isinstance(x, of.QuantizedArray)
        )
        assert any(isinstance(node, of.QuantizedArray) for node in nodes)


# --- compiled: each wrapper once, each optimizer once ---------------------------------

PAIRS = [
    *((wrapper, ADAM) for wrapper in WRAPPERS),
    *(
        (WRAPPERS[i % 3], row)
        for i, row in enumerate(OPTIMIZERS)
        if row not in FOREIGN and row is not ADAM
    ),
]
every_pair = pytest.mark.parametrize(
    ("wrapper", "row"), PAIRS, ids=lambda x: x.name if hasattr(x, "name") else x
)


@every_pair
def test_a_sweep_over_the_learning_rate_in_a_scan(wrapper, row):
    params = parameters(row)
    tx = wrapper.build(row.build())

    def final(lr):
        own = of.replace_hyperparameters(tx, lr=lr)

        def step(carry, _):
            params, state = carry
            updates, state = own.update(
                row.gradient(params), state, params, **row.extra(params)
            )
            return (of.apply_updates(params, updates), state), None

        start = (params, own.init(params))
        return jax.lax.scan(step, start, None, STEPS * wrapper.repeats)[0][0]

    rates = jnp.array([0.01, 0.1], jnp.float32)
    swept = jax.jit(jax.vmap(final))(rates)
    for i, rate in enumerate((0.01, 0.1)):
        single = of.replace_hyperparameters(tx, lr=rate)
        with jax.disable_jit():
            expected = run(row, single, params, wrapper.repeats)
        # Muon computes in bfloat16, and rounds otherwise in a batch; L-BFGS stops
        # where float32 no longer tells values apart, near a minimum.
        tolerance = 2e-2 if row.matrices else 2e-4 if row.value_fn else 2e-5
        chex.assert_trees_all_close(
            jax.tree.map(lambda x, i=i: x[i], swept), expected, atol=tolerance
        )


@every_wrapper
def test_state_lies_where_the_parameters_lie(wrapper):
    mesh = Mesh(np.array(jax.devices("cpu")[:8]), ("x",))
    sharding = NamedSharding(mesh, PartitionSpec("x", None))
    kernel = jnp.linspace(-1, 1, 64).reshape(16, 4)
    params = {"kernel": jax.device_put(kernel, sharding)}
    tx = wrapper.build(of.adamw(0.1))

    @jax.jit
    def step(params, state):
        updates, state = tx.update(params, state, params)
        return of.apply_updates(params, updates), state

    new, state = step(params, tx.init(params))
    for leaf in jax.tree.leaves((new, state)):
        if leaf.shape == (16, 4):
            assert leaf.sharding.is_equivalent_to(sharding, 2)
    expected, _ = step({"kernel": kernel}, tx.init({"kernel": kernel}))
    assert_close(new, expected)
