"""Classes whose packages keep shared state in the groups: schedulefree's."""

import copy
import pickle

import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

START = {"a": jnp.array([1.0, -2.0, 3.0]), "b": jnp.array([[0.5, 2.0]])}
CLASSES = {
    "SGDScheduleFree": {"lr": 0.1, "weight_decay": 0.1},
    "AdamWScheduleFree": {"lr": 0.1, "warmup_steps": 2},
    "RAdamScheduleFree": {"lr": 0.1, "betas": (0.9, 0.99), "silent_sgd_phase": False},
}
every_class = pytest.mark.parametrize("name", CLASSES)


def stepped(optimizer, steps, **missing):
    for _ in range(steps):
        optimizer.step(grads={**optimizer.params, **missing})
    return optimizer


def built(name):
    options = CLASSES.get(name, {"lr": 0.1, "eval_interp_coeff": 0.9})
    return getattr(of.optim, name)(START, **options)


def assert_equal(found, expected):
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key])


def assert_close(found, expected):
    for key in expected:
        np.testing.assert_allclose(found[key], expected[key], rtol=3e-6)


@pytest.mark.parametrize("name", [*CLASSES, "GPAAdamW"])
def test_evaluation_and_training(name):
    optimizer = stepped(built(name), 5)
    trained = optimizer.params
    expected = of.eval_params(*optimizer.functional())
    optimizer.eval()
    assert_close(optimizer.params, expected)
    assert not np.allclose(optimizer.params["a"], trained["a"])
    optimizer.eval()  # again: nothing
    assert_close(optimizer.params, expected)
    with pytest.raises(RuntimeError, match=r"in evaluation.* call train\(\)"):
        optimizer.step(grads=START)
    assert_close(optimizer.params, expected)
    resumed = pickle.loads(pickle.dumps(copy.deepcopy(optimizer)))
    for each in (optimizer, resumed):
        each.train()
        assert_close(each.params, trained)
        each.train()
        stepped(each, 1)
    assert_equal(resumed.params, optimizer.params)


@every_class
def test_checkpoints_have_the_keys_of_schedulefree(name):
    optimizer = stepped(built(name), 3)
    saved = optimizer.state_dict()
    (group,) = saved["param_groups"]
    assert group["k"] == 3
    assert type(group["k"]) is int
    assert type(group["weight_sum"]) is float
    assert 0 < group["lr_max"] <= 0.1 + 1e-6
    assert group["train_mode"] is True
    fields = {"z"} if name == "SGDScheduleFree" else {"z", "exp_avg_sq"}
    assert saved["state"][0].keys() == saved["state"][1].keys() == fields
    other = built(name)
    other.params = optimizer.params
    other.load_state_dict(saved)
    assert "k" not in other.param_groups[0]
    for each in (optimizer, other):
        stepped(each, 2)
    assert_equal(other.params, optimizer.params)
    assert other.state_dict()["param_groups"][0]["k"] == 5


def test_parameters_of_different_ages_keep_their_own():
    optimizer = stepped(stepped(built("AdamWScheduleFree"), 2), 2, b=None)
    saved = optimizer.state_dict()
    assert saved["param_groups"][0]["k"] == 4
    assert "step" not in saved["state"][0]
    assert saved["state"][1]["step"] == 2
    other = built("AdamWScheduleFree")
    other.params = optimizer.params
    other.load_state_dict(saved)
    for each in (optimizer, other):
        each.eval()
        each.train()
        stepped(each, 2)
    assert_equal(other.params, optimizer.params)


def test_a_state_dict_of_schedulefree():
    """Two steps of `sum(p * p)` from [1, -2, 3], as schedulefree 1.4.1 saves them."""
    torch = pytest.importorskip("torch")
    saved = {
        "state": {
            0: {
                "z": torch.tensor([0.99500125, -1.99500060, 2.99500036]),
                "exp_avg_sq": torch.tensor([0.00797600, 0.03195203, 0.07192803]),
            }
        },
        "param_groups": [
            {
                "lr": 0.0025,
                "betas": (0.9, 0.999),
                "eps": 1e-08,
                "r": 0.0,
                "k": 2,
                "warmup_steps": 0,
                "train_mode": True,
                "weight_sum": 1.25e-05,
                "lr_max": 0.0025,
                "scheduled_lr": 0.0025,
                "weight_lr_power": 2.0,
                "weight_decay": 0,
                "foreach": True,
                "params": [0],
            }
        ],
    }
    start = jnp.array([1.0, -2.0, 3.0])
    ours = of.optim.AdamWScheduleFree(start)
    for _ in range(2):
        ours.step(grads=2 * ours.params)
    loaded = of.optim.AdamWScheduleFree(start)
    loaded.params = ours.params
    loaded.load_state_dict(saved)
    assert loaded.state[0]["step"] == 2
    for each in (ours, loaded):
        each.step(grads=2 * each.params)
    np.testing.assert_allclose(loaded.params, ours.params, rtol=1e-6)
    mine = ours.state_dict()
    assert mine["state"][0].keys() == saved["state"][0].keys()
    assert saved["param_groups"][0].keys() <= mine["param_groups"][0].keys()
    with pytest.raises(ValueError, match="not one of SGDScheduleFree"):
        of.optim.SGDScheduleFree(start).load_state_dict(saved)


# --- estimates ------------------------------------------------------------------------

PRODIGY = {
    "lr": 1.0,
    "betas": (0.9, 0.999),
    "beta3": None,
    "eps": 1e-08,
    "weight_decay": 0,
    "d": 1.5749486575143488e-06,
    "d0": 1e-06,
    "d_max": 1.5749486575143488e-06,
    "d_numerator": 3.778928657993674e-11,
    "d_coef": 1.0,
    "k": 2,
    "growth_rate": float("inf"),
    "use_bias_correction": False,
    "decouple": True,
    "safeguard_warmup": False,
    "fsdp_in_use": False,
    "slice_p": 1,
    "d_denom": 2.399397999397479e-05,
    "d_hat": 1.5749486575143488e-06,
    "params": [0, 1],
}


def test_a_state_dict_of_prodigyopt():
    """Two steps of `sum(p * p)` from [[1, -2, 3]] and [0, 0], by prodigyopt 1.1.2."""
    torch = pytest.importorskip("torch")
    start = {"a": jnp.array([[1.0, -2.0, 3.0]]), "b": jnp.zeros(2)}
    nothing = {k: torch.zeros(2) for k in ("s", "exp_avg", "exp_avg_sq")}
    saved = {
        "state": {
            0: {
                "step": 2,
                "s": torch.tensor([3.9990e-06, -7.9980e-06, 1.1997e-05]),
                "p0": torch.tensor([1.0, -2.0, 3.0]),
                "exp_avg": torch.tensor([[3.8e-07, -7.6e-07, 1.14e-06]]),
                "exp_avg_sq": torch.tensor([[7.996e-15, 3.1984e-14, 7.1964e-14]]),
            },
            # p0 of a parameter that begins as 0 is a scalar.
            1: {"step": 2, "p0": torch.tensor(0.0), **nothing},
        },
        "param_groups": [PRODIGY],
    }
    ours = stepped_by_squares(of.optim.Prodigy(start), 2)
    loaded = of.optim.Prodigy(start)
    loaded.params = ours.params
    loaded.load_state_dict(saved)
    assert loaded.state[0]["d"] == np.float32(PRODIGY["d"])
    # In float32 prodigyopt loses 0.4 % here, where the parameters lose last digits.
    np.testing.assert_allclose(ours.state[0]["d"], PRODIGY["d"], rtol=5e-3)
    for each in (ours, loaded):
        stepped_by_squares(each, 20)
    for key, value in ours.params.items():
        # The way gone since the beginning.
        np.testing.assert_allclose(
            loaded.params[key] - start[key], value - start[key], rtol=2e-2
        )
    mine = ours.state_dict()
    assert mine["state"][0].keys() - saved["state"][0].keys() == {"compensation"}
    assert mine["state"][0]["s"].shape == (3,)
    assert mine["state"][0]["step"] == mine["param_groups"][0]["k"] == 22
    missing = PRODIGY.keys() - mine["param_groups"][0].keys()
    assert missing == {"d_denom", "d_hat"}  # prodigyopt writes them, to be looked at
    again = of.optim.Prodigy(start)
    again.params = ours.params
    again.load_state_dict(mine)
    for each in (ours, again):
        stepped_by_squares(each, 2)
    assert_equal(again.params, ours.params)
    # Every eleventh element is not enough.
    sliced = {**saved["state"][0], "s": torch.zeros(1)}
    other = {**saved, "state": {**saved["state"], 0: sliced}}
    with pytest.raises(ValueError, match="the state s of parameter 0 has shape"):
        loaded.load_state_dict(other)


def test_a_state_dict_of_dadaptation():
    start = {"a": jnp.array([1.0, -2.0, 3.0])}
    optimizer = stepped_by_squares(of.optim.DAdaptAdam(start, d0=1e-3), 3)
    saved = optimizer.state_dict()
    (group,) = saved["param_groups"]
    assert saved["state"][0].keys() == {"step", "s", "exp_avg", "exp_avg_sq"}
    assert group["k"] == 3
    assert group["d"] > 1e-3
    assert group["numerator_weighted"] > 0
    # What dadaptation needs to go on.
    assert group["log_every"] == 0
    assert group.keys() >= {"fsdp_in_use", "layer_scale"}
    other = of.optim.DAdaptAdam(start)
    other.params = optimizer.params
    other.load_state_dict(saved)
    for each in (optimizer, other):
        stepped_by_squares(each, 2)
    assert_equal(other.params, optimizer.params)


def stepped_by_squares(optimizer, steps):
    for _ in range(steps):
        grads = {key: 2 * value for key, value in optimizer.params.items()}
        optimizer.step(grads=grads)
    return optimizer
