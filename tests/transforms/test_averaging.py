"""Averages of parameters against torch.optim.swa_utils and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

STEPS = 8


def trajectory(tx, params, x=None):
    """Parameters and state after each of a few steps of gradient descent."""
    tx = of.chain(sgd=of.sgd(0.3, 0.9), average=tx)
    state, found = tx.init(params), []
    for _ in range(STEPS):
        grads = jax.tree.map(lambda p: p - 1, params)
        updates, state = tx.update(grads, state, params)
        params = of.apply_updates(params, updates)
        found.append((params, state["average"]))
    return found


PARAMS = {
    "w": jnp.asarray(np.random.default_rng(0).normal(size=(3, 2)), jnp.float32),
    "b": jnp.zeros(2),
    "none": None,
}


@pytest.mark.torch
@pytest.mark.parametrize("decay", [0.0, 0.4, 0.9, 0.999, 1.0, None])
def test_averages_are_torchs(decay):
    import torch
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    found = trajectory(
        of.average_parameters() if decay is None else of.ema_parameters(decay), PARAMS
    )

    def model(params):
        return torch.nn.ParameterList(
            [torch.tensor(np.asarray(params[k])) for k in ("w", "b")]
        )

    rule = {} if decay is None else {"multi_avg_fn": get_ema_multi_avg_fn(decay)}
    averaged = AveragedModel(model(PARAMS), **rule)
    for params, state in found:
        averaged.update_parameters(model(params))
        for name, wanted in zip("wb", averaged.module, strict=True):
            # The same sum of two float32 terms; torch may fuse it.
            np.testing.assert_allclose(
                state.average[name], wanted.detach().numpy(), rtol=3e-7, atol=1e-7
            )
    assert int(state.step) == STEPS
    assert state.average["none"] is None


@pytest.mark.parametrize("start", [0, 3, STEPS + 1])
def test_the_mean_begins_after_start_updates(start):
    found = trajectory(of.average_parameters(start), PARAMS)
    history = np.stack([np.float64(params["w"]) for params, _ in found])
    for t, (_, state) in enumerate(found, start=1):
        wanted = history[t - 1] if t <= start + 1 else history[start:t].mean(axis=0)
        # A running mean of up to 8 terms in float32.
        np.testing.assert_allclose(state.average["w"], wanted, rtol=2e-6)


@pytest.mark.parametrize("tx", [of.ema_parameters(0.5), of.average_parameters(1)])
def test_updates_pass_and_the_first_average_is_a_copy(tx):
    params = {"h": jnp.ones(3, jnp.bfloat16), "c": jnp.ones(2, jnp.complex64)}
    state = tx.init(params)
    assert state.average["h"] is not params["h"]
    assert state.average["h"].unsafe_buffer_pointer() != (
        params["h"].unsafe_buffer_pointer()
    )
    updates = jax.tree.map(lambda p: 1.5 * p, params)
    same, state = jax.jit(tx.update)(updates, state, params)
    jax.tree.map(np.testing.assert_array_equal, same, updates)
    for name, leaf in params.items():
        assert state.average[name].dtype == leaf.dtype
        np.testing.assert_array_equal(
            state.average[name].astype(jnp.complex64), np.full(leaf.shape, 2.5)
        )


def test_decay_may_be_swept_and_scheduled():
    params, updates = jnp.array([1.0]), jnp.array([1.0])

    def second(decay):
        tx = of.chain(of.ema_parameters(decay))
        state = tx.init(params)
        _, state = tx.update(updates, state, params)
        _, state = tx.update(updates, state, params + 1)
        return jax.tree.leaves(state)[-1]

    # 2 after the first update, then 2 + (1 - decay).
    np.testing.assert_allclose(
        jax.vmap(second)(jnp.array([0.25, 0.75]))[:, 0], [2.75, 2.25], rtol=1e-6
    )
    found = second(lambda step: jnp.where(step == 0, 1.0, 0.75))
    np.testing.assert_allclose(found, [2.25], rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.ema_parameters(1.5), r"decay must be at least 0 and at most 1"),
        (lambda: of.ema_parameters(-0.1), "decay must be"),
        (lambda: of.average_parameters(-1), "start must be at least 0, found -1"),
        (lambda: of.average_parameters(1.0), "start must be an integer, found 1.0"),
        (lambda: without_params(of.ema_parameters()), "ema_parameters needs the param"),
        (
            lambda: without_params(of.average_parameters()),
            "average_parameters needs the parameters",
        ),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()


def without_params(tx):
    tx.update(PARAMS, tx.init(PARAMS))
