"""The scale of a loss, beside the real `torch.amp.GradScaler`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of

pytestmark = pytest.mark.slow

FLOAT16 = jnp.float16


def gradient(step):
    """Of the loss itself; at some steps not finite."""
    grad = np.float32([0.1, -0.2, 0.3]) * np.float32(1 + step)
    if step in (0, 1, 7):
        grad[1] = np.inf
    if step == 12:
        grad[2] = np.nan
    return grad


@pytest.mark.torch
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"growth_interval": 3},
        {"init_scale": 96.0, "growth_factor": 1.7, "backoff_factor": 0.3}
        | {"growth_interval": 2},
        # Growth ends where the scale would be infinite.
        {"init_scale": 2.0**126, "growth_interval": 1, "backoff_factor": 0.9},
    ],
)
def test_scale_and_steps_are_those_of_torch(options):
    import torch

    start = np.float32([1.0, -2.0, 3.0])
    weight = torch.nn.Parameter(torch.tensor(start))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", **options)
    tx = of.dynamic_loss_scale(of.sgd(0.1, 0.9), **options)

    @jax.jit
    def step(params, state, grad):
        def loss_fn(p):
            return of.scale_loss(jnp.sum(p * grad), state)

        updates, state = tx.update(jax.grad(loss_fn)(params), state, params)
        return of.apply_updates(params, updates), state

    params = jnp.asarray(start)
    state = tx.init(params)
    skipped = 0
    for i in range(16):
        grad = gradient(i)
        with np.errstate(over="ignore"):
            scaled = grad * np.float32(scaler.get_scale())
        skipped += not np.isfinite(scaled).all()
        optimizer.zero_grad()
        scaler.scale((weight * torch.tensor(grad)).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        params, state = step(params, state, grad)
        found = float(state.scale), int(state.growth_tracker), int(state.skipped)
        expected = scaler.get_scale(), scaler._get_growth_tracker(), skipped
        assert found == pytest.approx(expected, rel=1e-6)
        # Rounding of a quotient and a product in float32, each step.
        np.testing.assert_allclose(params, weight.detach(), rtol=2e-6)


def test_gradients_that_vanish_in_float16_arrive():
    """A gradient of 1e-8, below the smallest number of float16."""

    def loss_fn(params, scale):
        inner = (params["w"] * FLOAT16(0.25)).astype(jnp.float32)
        return scale(jnp.sum(inner) * 4e-8)

    params = {"w": jnp.ones(3, FLOAT16)}
    lost = jax.grad(loss_fn)(params, lambda loss: loss)
    np.testing.assert_array_equal(lost["w"], 0)
    tx = of.dynamic_loss_scale(of.identity())
    state = tx.init(params)
    grads = jax.grad(loss_fn)(params, lambda loss: of.scale_loss(loss, state))
    updates, _ = tx.update(grads, state, params)
    assert updates["w"].dtype == jnp.float32
    # Eleven digits of float16.
    np.testing.assert_allclose(updates["w"], 1e-8, rtol=2**-10)


def test_a_run_inside_scan_equals_one_step_by_step():
    """float16 parameters behind wide ones; the first scale is too large."""
    rng = np.random.default_rng(0)
    inputs = jnp.asarray(rng.normal(size=(64, 8)), FLOAT16)
    labels = inputs.astype(jnp.float32) @ jnp.asarray(rng.normal(size=8), jnp.float32)
    tx = of.dynamic_loss_scale(
        of.master_weights(of.adamw(0.05)), init_scale=2.0**20, growth_interval=20
    )

    def loss_fn(params):
        error = (inputs @ params).astype(jnp.float32) - labels
        return jnp.mean(error * error)

    def step(carry, _):
        params, state = carry
        grads = jax.grad(lambda p: of.scale_loss(loss_fn(p), state))(params)
        updates, state = tx.update(grads, state, params)
        return (of.apply_updates(params, updates), state), loss_fn(params)

    start = jnp.zeros(8, FLOAT16)
    carry = start, tx.init(start)
    (params, state), losses = jax.lax.scan(step, carry, length=150)
    assert params.dtype == FLOAT16
    assert float(losses[-1]) < 1e-3 * float(losses[0])
    assert int(state.skipped) >= 1
    # No step that was skipped has counted in the inner state.
    assert int(of.find_in_state(state.inner, "step")) == 150 - int(state.skipped)
    compiled = jax.jit(step)
    for _ in range(150):
        carry, _ = compiled(carry, None)
    jax.tree.map(np.testing.assert_array_equal, carry[1].scale, state.scale)
    np.testing.assert_allclose(np.float32(carry[0]), np.float32(params), rtol=2**-9)


def test_a_skipped_step_changes_nothing_but_the_scale():
    params = {"w": jnp.ones(3), "b": jnp.ones(2, FLOAT16)}
    tx = of.dynamic_loss_scale(of.adamw(0.1, weight_decay=0.1))
    state = tx.init(params)
    grads = {"w": jnp.ones(3), "b": jnp.asarray([1, jnp.inf], FLOAT16)}
    updates, after = tx.update(grads, state, params)
    for leaf in jax.tree.leaves(updates):
        np.testing.assert_array_equal(leaf, 0)
    jax.tree.map(np.testing.assert_array_equal, after.inner, state.inner)
    assert (float(after.scale), int(after.skipped)) == (32768, 1)


def test_sparse_gradients_are_divided():
    grad = BCOO.fromdense(jnp.asarray([[0.0, 0], [8, 16]]), n_dense=1)
    tx = of.dynamic_loss_scale(of.scale(1.0), init_scale=8.0)
    params = jnp.ones((2, 2))
    updates, _ = tx.update(grad, tx.init(params), params)
    np.testing.assert_array_equal(updates.todense(), [[0, 0], [1, 2]])


def test_the_scale_is_found_in_any_composition():
    tx = of.chain(of.dynamic_loss_scale(of.sgd(0.1)), of.identity())
    state = tx.init(jnp.ones(2))
    loss = of.scale_loss(jnp.asarray(0.5, FLOAT16), state)
    assert loss.dtype == jnp.float32
    assert float(loss) == 32768
    with pytest.raises(KeyError, match="'DynamicLossScaleState' does not occur"):
        of.scale_loss(1.0, of.sgd(0.1).init(jnp.ones(2)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"init_scale": 0.0}, ValueError, "init_scale must be above 0|init_scale"),
        ({"growth_factor": 1.0}, ValueError, "growth_factor"),
        ({"backoff_factor": 1.0}, ValueError, "backoff_factor"),
        ({"growth_interval": 0}, ValueError, "growth_interval must be at least 1"),
        ({"growth_interval": 2.5}, TypeError, "growth_interval"),
    ],
)
def test_bad_numbers_are_named(options, error, message):
    with pytest.raises(error, match=message):
        of.dynamic_loss_scale(of.sgd(0.1), **options)
