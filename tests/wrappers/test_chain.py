"""Chains: order, names, members from elsewhere, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

GRADS = {"a": jnp.array([1.0, -2.0]), "b": [jnp.ones(()), None]}


def updates_of(tx, **extra):
    return tx.update(GRADS, tx.init(GRADS), GRADS, **extra)


def assert_equal(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


def test_members_apply_in_order():
    clip_first = updates_of(of.chain(of.clip(1.0), of.scale(4.0)))[0]["a"]
    scale_first = updates_of(of.chain(of.scale(4.0), of.clip(1.0)))[0]["a"]
    np.testing.assert_array_equal(clip_first, [4.0, -4.0])
    np.testing.assert_array_equal(scale_first, [1.0, -1.0])


def test_names_address_states():
    tx = of.chain(zeta=of.momentum(0.9), alpha=of.scale(2.0))
    state = tx.init(GRADS)
    assert list(state) == ["zeta", "alpha"]
    updates, state = tx.update(GRADS, state)
    assert int(state["zeta"].step) == 1
    assert_equal(updates, jax.tree.map(lambda g: 2 * g, GRADS))
    assert repr(of.chain(a=of.scale(2.0))) == "chain(a=scale(factor=2.0))"
    assert repr(of.chain(of.scale(2.0))) == "chain(scale(factor=2.0))"


def test_named_members_keep_their_order_through_jax():
    # JAX sorts the keys of a dict; the order of a chain has a meaning.
    tx = of.chain(z=of.clip(1.0), a=of.scale(4.0))
    wanted = updates_of(tx)[0]
    rebuilt = jax.tree.map(lambda x: x, tx)
    assert_equal(updates_of(rebuilt)[0], wanted)
    assert_equal(jax.jit(lambda tx: updates_of(tx)[0])(tx), wanted)
    other = of.replace_hyperparameters(rebuilt, factor=4.0)
    again = jax.tree.map(lambda x: x, other)
    assert_equal(updates_of(again)[0], wanted)


def test_an_empty_chain_is_the_identity():
    updates, state = updates_of(of.chain())
    assert_equal(updates, GRADS)
    assert state == ()


def test_chains_nest_and_take_members_from_elsewhere():
    class Pair:
        def init(self, params):
            return jnp.zeros((), jnp.int32)

        def update(self, updates, state, params=None, *, value):
            return jax.tree.map(lambda g: value * g, updates), state + 1

    class Undecorated(of.GradientTransformation):
        def init(self, params):
            return ()

        def update(self, updates, state, params=None, **extra):
            return jax.tree.map(lambda g: extra["value"] * g, updates), state

    tx = of.chain(
        of.chain(of.scale(2.0)), optax.scale(3.0), Pair(), Undecorated(), of.identity()
    )
    # optax's members do not take the extra argument; ours and the pair do.
    updates, state = updates_of(tx, value=0.5)
    assert_equal(updates, jax.tree.map(lambda g: 1.5 * g, GRADS))
    assert int(state[2]) == 1
    # And the other way round, with the state of each where optax keeps it.
    tx = optax.chain(of.scale(2.0), of.chain(clip=of.clip(1.0)), optax.scale(3.0))
    assert_equal(updates_of(tx)[0]["a"], jnp.array([3.0, -3.0]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.chain(3), "expected a gradient transformation .* found 3"),
        (lambda: of.chain(of.clip), "expected a gradient transformation|update"),
        (
            lambda: of.chain(of.identity(), a=of.identity()),
            r"by position or by name, found 1 by position and \['a'\]",
        ),
        (
            lambda: of.chain(of.identity()).update(GRADS, ((), ())),
            r"not one of chain: expected a tuple of 1 \(identity\), found a tuple of 2",
        ),
        (
            lambda: of.chain(a=of.identity()).update(GRADS, ()),
            r"not one of chain: expected a dict of \['a'\], found a tuple of 0;",
        ),
        (
            lambda: of.chain(of.identity()).update(GRADS, {"a": ()}),
            r"expected a tuple of 1 \(identity\), found a dict of \['a'\]",
        ),
        (
            lambda: of.chain(of.identity()).update(GRADS, None),
            r"expected a tuple of 1 \(identity\), found a NoneType",
        ),
        (
            lambda: of.chain(a=of.identity()).update(GRADS, {"b": ()}),
            r"expected a dict of \['a'\], found a dict of \['b'\]",
        ),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((TypeError, ValueError), match=message):
        build()
