"""Sharpness-aware minimization: the recorded runs, and both ways to do it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from ..optimizers.authors import assert_follows

PARAMS = {"a": jnp.array([1.0, -2.0]), "b": jnp.array([[0.5]])}


@of.transformation
class with_gradients(of.Wrapper):
    """Give the inner transformation the gradient of ``value_fn``."""

    inner: of.GradientTransformation = of.child()

    def init(self, params):
        return self.inner.init(params)

    def state_of(self, child, state):
        return state

    def update(self, updates, state, params=None, *, value_fn, **extra):
        def grad_fn(params, i):
            return jax.grad(value_fn)(params)

        return self.inner.update(updates, state, params, grad_fn=grad_fn, **extra)


def test_opaque(x64):
    assert_follows("sam_opaque", with_gradients(of.sam(of.sgd(0.1, 0.9))))


def test_adaptive(x64):
    tx = of.sam(of.sgd(0.1, 0.9), adaptive=True)
    assert_follows("asam", with_gradients(tx))


def test_look_sam(x64):
    tx = of.look_sam(of.sgd(0.1), rho=0.05, sync_period=2)
    assert_follows("looksam", with_gradients(tx))


def test_look_sam_takes_no_second_gradient_between():
    tx = of.look_sam(of.sgd(0.1), sync_period=3)
    state = tx.init(PARAMS)
    calls = []
    for _ in range(6):
        updates, new = tx.update(
            PARAMS,
            state,
            PARAMS,
            grad_fn=lambda params, i: jax.tree.map(lambda p: p + jnp.nan, params),
        )
        calls.append(bool(jnp.isnan(updates["a"]).all()))
        # The state is that of finite gradients.
        state = new._replace(gv=state.gv, inner=state.inner)
    assert calls == [True, False, False] * 2


def test_look_sam_where_it_always_looks():
    """With a period of 1 it is `sam`."""

    def run(tx):
        params, state = PARAMS, tx.init(PARAMS)

        def grad_fn(params, i):
            return jax.tree.map(lambda p: jnp.sin(p) + p, params)

        for _ in range(3):
            grads = grad_fn(params, 0)
            updates, state = tx.update(grads, state, params, grad_fn=grad_fn)
            params = of.apply_updates(params, updates)
        return params

    sgd = of.sgd(0.1, 0.9)
    found, expected = run(of.look_sam(sgd, 0.05, 1)), run(of.sam(sgd, 0.05))
    for key in PARAMS:
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-6)


@pytest.mark.parametrize("kwargs", [{"rho": -1.0}, {"alpha": -1.0}, {"sync_period": 0}])
def test_look_sam_refuses(kwargs):
    with pytest.raises(ValueError, match=f"{next(iter(kwargs))} must be at least"):
        of.look_sam(of.sgd(), **kwargs)


def test_in_turns(x64):
    assert_follows("sam_transparent", of.sam_in_turns(of.sgd(0.1, 0.9)))


def loss(params):
    return jnp.sum(params["a"] ** 4) + jnp.sum(jnp.cos(params["b"]))


def grad_fn(params, i):
    return jax.grad(loss)(params)


def trained(tx, steps, **extra):
    params, state = PARAMS, tx.init(PARAMS)
    for _ in range(steps):
        updates, state = tx.update(grad_fn(params, 0), state, params, **extra)
        params = of.apply_updates(params, updates)
    return params, state


def assert_close(found, expected):
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-6), found, expected
    )


@pytest.mark.parametrize("adaptive", [False, True])
def test_both_ways_agree(adaptive):
    inner = of.adamw(0.1, weight_decay=0.1)
    once = trained(of.sam(inner, 0.1, adaptive), 5, grad_fn=grad_fn)
    tx = of.sam_in_turns(inner, 0.1, adaptive)
    twice = trained(tx, 10)
    assert_close(twice[0], once[0])
    assert_close(twice[1].inner, once[1].inner)
    # After an odd number of updates the parameters are perturbed.
    params, state = trained(tx, 11)
    assert not np.allclose(params["a"], once[0]["a"])
    assert_close(of.eval_params(tx, state, params), once[0])
    assert_close(of.eval_params(tx, twice[1], twice[0]), once[0])


def test_several_steps_up():
    """By hand: two ways of length rho, then the gradient there."""
    found, _ = trained(of.sam(of.sgd(1.0), 0.1, sync_period=3), 1, grad_fn=grad_fn)
    point = PARAMS
    for _ in range(2):
        grads = jax.grad(loss)(point)
        norm = np.sqrt(sum(np.sum(g**2) for g in jax.tree.leaves(grads)))
        point = jax.tree.map(lambda p, g, n=norm: p + 0.1 * g / n, point, grads)
    expected = jax.tree.map(lambda p, g: p - g, PARAMS, jax.grad(loss)(point))
    assert_close(found, expected)


def test_what_is_evaluated_inside():
    tx = of.sam_in_turns(of.lookahead(of.sgd(0.1), 2))
    for steps in (6, 7):
        params, state = trained(tx, steps)
        assert_close(of.eval_params(tx, state, params), state.inner.slow)
    assert not np.allclose(state.inner.slow["a"], params["a"])


def test_of_some_of_the_parameters():
    """The others stay where they are while the gradient is taken."""
    tx = of.masked(of.sam(of.sgd(0.1)), {"a": True, "b": False})
    seen = []

    def recording(params, i):
        seen.append(params)
        return jax.grad(loss)(params)

    trained(tx, 1, grad_fn=recording)
    assert not np.array_equal(seen[0]["a"], PARAMS["a"])
    np.testing.assert_array_equal(seen[0]["b"], PARAMS["b"])


def test_no_gradient():
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    for tx in (of.sam(of.sgd(0.1)), of.sam_in_turns(of.sgd(0.1), adaptive=True)):
        updates, _ = tx.update(
            zeros, tx.init(PARAMS), PARAMS, grad_fn=lambda params, i: zeros
        )
        jax.tree.map(np.testing.assert_array_equal, updates, zeros)


def test_refusals():
    with pytest.raises(ValueError, match="rho must be at least 0, found -1"):
        of.sam(of.sgd(), -1.0)
    with pytest.raises(ValueError, match="rho must be at least 0, found -1"):
        of.sam_in_turns(of.sgd(), -1.0)
    with pytest.raises(ValueError, match="sync_period must be at least 2, found 1"):
        of.sam(of.sgd(), sync_period=1)
    tx = of.sam(of.sgd())
    with pytest.raises(TypeError, match="grad_fn"):
        tx.update(PARAMS, tx.init(PARAMS), PARAMS)
