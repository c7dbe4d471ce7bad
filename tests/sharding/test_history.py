"""What L-BFGS remembers is cut as finely as its parameters are."""

import chex
import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import optifunc as of

# Four vectors of 32 numbers: at most 512 bytes, as XLA's CPU client likes them.
MAKERS = {
    "lbfgs": lambda: of.lbfgs(0.1, history_size=4, max_iter=2),
    "scale_by_lbfgs": lambda: of.chain(
        of.scale_by_lbfgs(4), of.scale_by_learning_rate(0.1)
    ),
}
SPECS = {"kernel": P("data", "model"), "bias": P(None)}
START = {"kernel": jnp.linspace(-1, 1, 24).reshape(6, 4), "bias": jnp.ones(8)}


def on_mesh(kind):
    return jax.make_mesh((2, 2), ("data", "model"), axis_types=(kind,) * 2)


def loss(params):
    kernel, bias = params["kernel"], params["bias"]
    return jnp.sum(jnp.cosh(kernel)) + jnp.sum(jnp.square(bias - 0.5))


def three_steps(tx, params, state, shardings=None):
    def step(params, state):
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params, value=value, value_fn=loss)
        return of.apply_updates(params, updates), state

    step = jax.jit(step, out_shardings=shardings)
    for _ in range(3):
        params, state = step(params, state)
    return jax.device_get(params), state


@pytest.mark.slow
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("name", MAKERS)
def test_each_device_holds_a_quarter(kind, name):
    mesh, tx = on_mesh(kind), MAKERS[name]()
    own = {name: NamedSharding(mesh, spec) for name, spec in SPECS.items()}
    with jax.set_mesh(mesh):
        params = jax.device_put(START, own)
        shardings = of.sharding.state_shardings(tx, params)
        state = tx.init(params)
        found, new = three_steps(tx, params, state, (own, shardings))
    cut = NamedSharding(mesh, P(None, ("data", "model")))
    for field in ("old_dirs", "old_stps"):
        for history in (of.find_in_state(s, field) for s in (state, new)):
            assert history.sharding.is_equivalent_to(cut, 2)
    expected, _ = three_steps(tx, START, tx.init(START))
    # Inner products are sums in another order, and their errors are divided by small
    # differences of gradients.
    chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_the_stateful_interface(kind):
    """On a mesh it steps as on one device, and a state dict brings the history back."""
    mesh = on_mesh(kind)

    def made(params):
        return of.optim.LBFGS(params, history_size=4, max_iter=2)

    with jax.set_mesh(mesh):
        own = {name: NamedSharding(mesh, spec) for name, spec in SPECS.items()}
        optimizer, plain = made(jax.device_put(START, own)), made(START)
        for _ in range(2):
            optimizer.step(loss)
            plain.step(loss)
        found = jax.device_get(optimizer.params)
        other = made(optimizer.params)
        other.load_state_dict(optimizer.state_dict())
        _, state, _ = other.functional()
        for continued in (optimizer, other):
            continued.step(loss)
    history = of.find_in_state(state, "old_dirs")
    assert history.sharding.is_equivalent_to(
        NamedSharding(mesh, P(None, ("data", "model"))), 2
    )
    # Inner products are sums in another order.
    chex.assert_trees_all_close(found, plain.params, rtol=1e-5, atol=1e-6)
    values = (jax.device_get(x.params) for x in (other, optimizer))
    chex.assert_trees_all_equal(*values)


@pytest.mark.parametrize(
    ("size", "spec"), [(8, P(("data", "model"))), (6, P("data")), (5, P())]
)
def test_vectors_are_cut_as_far_as_their_length_allows(size, spec):
    mesh = on_mesh(AxisType.Auto)
    shapes = {
        "a": jax.ShapeDtypeStruct(
            (4, 1), jnp.float32, sharding=NamedSharding(mesh, P("data"))
        ),
        "b": jax.ShapeDtypeStruct(
            (1, size - 4), jnp.float32, sharding=NamedSharding(mesh, P(None, "model"))
        ),
    }
    if size == 5:  # one number cannot be shared
        sharding = NamedSharding(mesh, P())
        shapes["b"] = jax.ShapeDtypeStruct((1, 1), jnp.float32, sharding=sharding)
    shardings = of.sharding.state_shardings(of.scale_by_lbfgs(2), shapes)
    own = NamedSharding(mesh, spec)
    assert shardings.prev_flat_grad.is_equivalent_to(own, 1)
