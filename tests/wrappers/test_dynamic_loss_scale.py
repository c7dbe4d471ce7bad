"""The scale of a loss, beside the real `torch.amp.GradScaler`."""

import copy

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


# --- the stateful API: torch's loop without a scaler ---------------------------------


def backward_and_step(optimizer):
    def train(loss_fn, *batch):
        optimizer.zero_grad()
        loss = optimizer.backward(loss_fn, *batch)
        optimizer.step()
        return loss

    return train


@pytest.mark.torch
@pytest.mark.parametrize("way", ["backward", "compile_step"])
@pytest.mark.parametrize("in_groups", [False, True])
def test_a_stateful_optimizer_scales_its_loss(way, in_groups):
    """Growth, back-off and skipped steps of `torch.amp.GradScaler`."""
    import torch

    start = np.float32([1.0, -2.0, 3.0])
    weights = [torch.nn.Parameter(torch.tensor(start)) for _ in range(2)]
    reference = torch.optim.SGD(weights, lr=0.1, momentum=0.9)
    settings = {"init_scale": 96.0, "growth_interval": 3}
    scaler = torch.amp.GradScaler("cpu", **settings)
    params = [jnp.asarray(start), jnp.asarray(start)]
    given = [{"params": p} for p in params] if in_groups else params
    optimizer = of.optim.SGD(given, lr=0.1, momentum=0.9).wrap(
        lambda tx: of.dynamic_loss_scale(tx, **settings)
    )

    def loss_fn(params, grad):
        return sum(jnp.sum(p * grad) for p in jax.tree.leaves(params))

    if way == "backward":
        train = backward_and_step(optimizer)
    else:
        compiled = optimizer.compile_step(loss_fn)

        def train(loss_fn, grad):
            return compiled(grad)

    for i in range(12):
        grad = gradient(i)
        reference.zero_grad()
        total = sum((w * torch.tensor(grad)).sum() for w in weights)
        scaler.scale(total).backward()
        scaler.step(reference)
        scaler.update()
        loss = train(loss_fn, jnp.asarray(grad))
        # The sum of six products in another order
        np.testing.assert_allclose(loss, total.detach(), rtol=1e-5)
        for found, weight in zip(
            jax.tree.leaves(optimizer.params), weights, strict=True
        ):
            np.testing.assert_allclose(found, weight.detach(), rtol=2e-6)
        assert float(optimizer.state[0]["scale"]) == scaler.get_scale()


def test_groups_with_different_scales_share_the_smallest():
    """The gradients of one overflow, and those of the other do not."""
    params = [{"params": jnp.ones(2, FLOAT16)}, {"params": jnp.ones(2)}]
    optimizer = of.optim.SGD(params, lr=0.5).wrap(of.dynamic_loss_scale)

    def loss_fn(params):
        narrow, wide = (
            group["params"] if isinstance(group, dict) else group for group in params
        )
        return 4 * jnp.sum(narrow.astype(jnp.float32)) + 0.25 * jnp.sum(wide)

    train = backward_and_step(optimizer)
    train(loss_fn)
    # 4 * 65536 is infinite in float16; the scale of its group falls.
    np.testing.assert_array_equal(optimizer.params[0], 1)
    np.testing.assert_allclose(optimizer.params[1], 1 - 0.5 * 0.25)
    scales = [float(optimizer.state[i]["scale"]) for i in range(2)]
    assert scales == [32768, 65536]
    for _ in range(3):
        train(loss_fn)
    step = optimizer.compile_step(loss_fn)
    step()
    # 32768 and 16384 overflow too: the third and fourth step after them count.
    np.testing.assert_array_equal(optimizer.params[0], 1 - 2 * 0.5 * 4)
    np.testing.assert_allclose(optimizer.params[1], 1 - 5 * 0.5 * 0.25)


def test_accumulated_and_given_gradients_are_scaled_ones():
    optimizer = of.optim.SGD(jnp.ones(2), lr=0.5).wrap(
        lambda tx: of.dynamic_loss_scale(tx, init_scale=8.0)
    )

    def loss_fn(p):
        return jnp.sum(p)

    assert float(optimizer.backward(loss_fn)) == 2
    optimizer.backward(loss_fn)
    np.testing.assert_array_equal(optimizer.grads, 16)
    optimizer.step()
    np.testing.assert_array_equal(optimizer.params, 0)
    optimizer.step(grads=jnp.full(2, 8.0))
    np.testing.assert_array_equal(optimizer.params, -0.5)
    # A loss that returns more, and a copy of the optimizer.
    other = copy.deepcopy(optimizer)
    value, more = other.backward(lambda p: (jnp.sum(p), p), has_aux=True)
    assert float(value) == -1
    np.testing.assert_array_equal(more, -0.5)
