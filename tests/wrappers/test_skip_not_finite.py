"""Skipped updates, against optax and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of

PARAMS = {"a": jnp.ones(2), "b": jnp.ones(()), "c": jnp.zeros((0,))}
NAN, INF = float("nan"), float("inf")


def grads(a, b=1.0):
    return {"a": jnp.array([1.0, a]), "b": jnp.asarray(b), "c": jnp.zeros((0,))}


SEQUENCE = [
    grads(1.0),
    grads(NAN),
    grads(2.0, -INF),
    grads(3.0),
    grads(INF),
    grads(NAN),
    grads(NAN),
    grads(4.0),
]


def run(tx):
    state, found = tx.init(PARAMS), []
    update = jax.jit(tx.update)
    for grad in SEQUENCE:
        updates, state = update(grad, state, PARAMS)
        found.append((updates, state))
    return found


def test_updates_with_any_element_not_finite_are_skipped():
    found = run(of.skip_not_finite(of.sgd(0.1, 0.9)))
    wanted = iter(
        run_all(of.sgd(0.1, 0.9), [g for g in SEQUENCE if np.isfinite(total(g))])
    )
    state_before = None
    for grad, (updates, state) in zip(SEQUENCE, found, strict=True):
        if np.isfinite(total(grad)):
            jax.tree.map(np.testing.assert_array_equal, updates, next(wanted))
        else:
            assert all(np.all(x == 0) for x in jax.tree.leaves(updates))
            jax.tree.map(np.testing.assert_array_equal, state.inner, state_before)
        state_before = state.inner
    assert [int(s.skipped) for _, s in found] == [0, 1, 2, 2, 3, 4, 5, 5]
    assert [int(s.consecutive) for _, s in found] == [0, 1, 2, 0, 1, 2, 3, 0]


def run_all(tx, sequence):
    state = tx.init(PARAMS)
    for grad in sequence:
        updates, state = tx.update(grad, state, PARAMS)
        yield updates


def total(grad):
    return sum(float(jnp.sum(x)) for x in jax.tree.leaves(grad))


@pytest.mark.parametrize("most", [0, 1, 2, 5])
def test_max_consecutive_is_that_of_optaxs_apply_if_finite(most):
    found = run(of.skip_not_finite(of.scale(-0.5), max_consecutive=most))
    wanted = run(optax.apply_if_finite(optax.scale(-0.5), most))
    for (updates, state), (their_updates, theirs) in zip(found, wanted, strict=True):
        jax.tree.map(np.testing.assert_array_equal, updates, their_updates)
        assert int(state.consecutive) == int(theirs.notfinite_count)


def test_sparse_and_complex_elements_count():
    tx = of.skip_not_finite(of.scale(2.0))
    rows = BCOO((jnp.array([[1.0, NAN]]), jnp.array([[0]])), shape=(2, 2))
    for bad in (rows, jnp.array([complex(1, INF)], jnp.complex64)):
        updates, state = tx.update({"x": bad}, tx.init({"x": bad}))
        assert int(state.skipped) == 1
        dense = updates["x"].todense() if isinstance(bad, BCOO) else updates["x"]
        assert np.all(dense == 0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.skip_not_finite(of.identity(), -1), "max_consecutive must be at"),
        (lambda: of.skip_not_finite(of.identity(), 1.5), "must be an integer, found 1"),
        (
            lambda: of.skip_not_finite(of.identity(), jnp.int32(2)),
            "max_consecutive must be an integer, found Array",
        ),
        (
            lambda: of.skip_not_finite(of.identity(), lambda step: 2),
            "max_consecutive must be an integer, found <function",
        ),
        (
            lambda: of.skip_not_finite(of.identity(), True),
            "max_consecutive must be an integer, found True",
        ),
        (lambda: of.skip_not_finite(None), "expected a gradient transformation"),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()
