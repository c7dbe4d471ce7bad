"""State dicts of packages beside torch, whose classes have the names of ours."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

START = [np.array([1.0, -2.0, 3.0], np.float32), np.array([[0.5], [-1.5]], np.float32)]


def gradients(params):
    return jax.tree.map(lambda p: 2 * p + 0.1, params)


def run(optimizer, steps):
    for _ in range(steps):
        optimizer.step(grads=gradients(optimizer.params))
    return optimizer


def group(**values):
    return [{**values, "params": [0, 1]}]


def assert_goes_on(optimizer, source, state_dict, steps=3):
    """Check that ``optimizer`` continues from ``state_dict`` where ``source`` is."""
    optimizer.load_state_dict(state_dict)
    run(source, steps)
    run(optimizer, steps)
    for found, expected in zip(optimizer.params, source.params, strict=True):
        np.testing.assert_array_equal(found, expected)


def halfway(make, steps=3):
    """An optimizer after some steps, and a new one with its parameters."""
    source = run(make([jnp.asarray(x) for x in START]), steps)
    return source, make([jnp.array(x) for x in source.params])


def test_lion_pytorch():
    source, optimizer = halfway(
        lambda params: of.optim.Lion(params, 0.1, (0.8, 0.95), 0.01)
    )
    state = {i: {"exp_avg": source.state[i]["exp_avg"]} for i in range(2)}
    groups = group(lr=0.1, betas=(0.8, 0.95), weight_decay=0.01)
    other = of.optim.Lion(optimizer.params, 1e-3)
    assert_goes_on(other, source, {"state": state, "param_groups": groups})
    assert set(other.state_dict()["state"][0]) == {"exp_avg"}


def test_lion_pytorch_says_nothing_of_independent_decay():
    """What the constructor was told stays, with its learning rate as the peak."""

    def make(params):
        return of.optim.Lion(
            params, 0.1, weight_decay=0.02, decoupled_weight_decay=True
        )

    source, optimizer = halfway(make)
    source.param_groups[0]["lr"] = 0.05
    state = {i: {"exp_avg": source.state[i]["exp_avg"]} for i in range(2)}
    groups = group(lr=0.05, betas=(0.9, 0.99), weight_decay=0.02)
    before = optimizer.params[0]
    assert_goes_on(optimizer, source, {"state": state, "param_groups": groups}, 1)
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True
    m = np.asarray(state[0]["exp_avg"])
    sign = np.sign(0.9 * m + 0.1 * (2 * before + 0.1))
    expected = before - 0.05 * (sign + 0.02 / 0.1 * before)
    np.testing.assert_allclose(optimizer.params[0], expected, rtol=1e-6)


def test_the_authors_adan_counts_in_its_groups():
    values = {"lr": 0.1, "betas": (0.9, 0.8, 0.95), "eps": 1e-8, "weight_decay": 0.1}
    source, optimizer = halfway(lambda params: of.optim.Adan(params, **values))
    names = ("exp_avg", "exp_avg_sq", "exp_avg_diff", "neg_pre_grad")
    state = {i: {name: source.state[i][name] for name in names} for i in range(2)}
    # The last gradient was one at the parameters before the last step.
    assert np.all(source.state[0]["neg_pre_grad"] != 0)
    groups = group(
        **values, max_grad_norm=0.0, no_prox=False, foreach=True, fused=False, step=3
    )
    assert_goes_on(optimizer, source, {"state": state, "param_groups": groups})
    assert optimizer.state[0]["step"] == 6
    assert "step" not in optimizer.param_groups[0]


def test_the_authors_madgrad_counts_once():
    values = {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.1, "eps": 1e-6}
    source, optimizer = halfway(lambda params: of.optim.MADGRAD(params, **values))
    names = ("grad_sum_sq", "s", "x0")
    state = {i: {name: source.state[i][name] for name in names} for i in range(2)}
    state["k"] = np.array([3])
    groups = group(**values, decouple_decay=False)
    assert_goes_on(optimizer, source, {"state": state, "param_groups": groups})
    assert optimizer.state[1]["step"] == 6


def test_the_authors_adabound():
    values = {
        "lr": 0.01,
        "betas": (0.8, 0.9),
        "final_lr": 0.2,
        "gamma": 0.1,
        "eps": 1e-8,
        "weight_decay": 0.1,
        "amsbound": True,
    }
    source, optimizer = halfway(lambda params: of.optim.AdaBound(params, **values))
    names = ("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    state = {i: {name: source.state[i][name] for name in names} for i in range(2)}
    for entry in state.values():
        entry["step"] = int(entry["step"])
    assert_goes_on(optimizer, source, {"state": state, "param_groups": group(**values)})


def test_adabound_keeps_the_base_of_its_bounds():
    """A scheduler that lowers the learning rate lowers the bounds, too."""
    optimizer = of.optim.AdaBound([jnp.ones(3)], lr=0.1, final_lr=0.2, gamma=1e9)
    optimizer.param_groups[0]["lr"] = 0.05
    optimizer.step(grads=[jnp.full(3, 0.5)])
    # The bounds have closed: SGD with 0.2 / 2, on a mean of a tenth of the gradient.
    np.testing.assert_allclose(optimizer.params[0], 1 - 0.1 * 0.05, rtol=1e-6)


def test_the_checkpoint_of_another_class_is_refused():
    optimizer = of.optim.Lion([jnp.ones(3)])
    adam = run(of.optim.Adam([jnp.ones(3)]), 1)
    with pytest.raises(ValueError, match="not one of Lion: its state holds"):
        optimizer.load_state_dict(adam.state_dict())
