"""Checkpoints to torch, from torch and in files; see also tests/interop."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of
from optifunc.interop import load_safetensors, save_safetensors
from optifunc.interop.torch import to_torch

from .harness import (
    OPTIMIZERS,
    assert_same,
    ours,
    start,
    step_ours,
    step_theirs,
    tensors,
    theirs,
    tolerance,
    torch,
    torch_params,
    values_of,
)

pytestmark = pytest.mark.torch


def in_torch(name, values, kwargs):
    """torch's optimizer with two groups, the second with a learning rate of its own."""
    first, second = tensors(values[:2]), tensors(values[2:3])
    groups = [{"params": first}, {"params": second, "lr": 0.5 * kwargs["lr"]}]
    return theirs(name, groups, **kwargs)


def in_optifunc(name, values, kwargs):
    arrays = list(map(jnp.asarray, values))
    groups = [
        {"params": arrays[:2]},
        {"params": arrays[2:3], "lr": 0.5 * kwargs["lr"]},
    ]
    return ours(name, groups, **kwargs)


def run(optimizer, scheduler, steps):
    step = step_ours if isinstance(optimizer, of.optim.Optimizer) else step_theirs
    for _ in range(steps):
        step(optimizer)
        scheduler.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_relay(name):
    """torch, optifunc, torch, 10 steps each, are 30 steps of torch.

    With two groups, one more after 5 steps, and a scheduler that moves along.
    """
    kwargs = OPTIMIZERS[name]
    *values, late = start(name)
    added = {"lr": 2 * kwargs["lr"]}

    def in_torch_scheduled(values):
        optimizer = in_torch(name, values, kwargs)
        return optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 4, gamma=0.8)

    whole, whole_scheduler = in_torch_scheduled(values)
    runner, scheduler = in_torch_scheduled(values)
    for optimizer, its_scheduler in ((whole, whole_scheduler), (runner, scheduler)):
        run(optimizer, its_scheduler, 5)
        optimizer.add_param_group({"params": tensors([late]), **added})
        run(optimizer, its_scheduler, 5)

    *here, late_here = values_of(runner)
    ours_ = in_optifunc(name, here, kwargs)
    our_scheduler = of.optim.lr_scheduler.StepLR(ours_, 4, gamma=0.8)
    ours_.add_param_group({"params": [jnp.asarray(late_here)], **added})
    our_scheduler.load_state_dict(scheduler.state_dict())
    ours_.load_state_dict(runner.state_dict())
    assert_same(ours_, runner, 0.0)
    run(ours_, our_scheduler, 10)
    run(whole, whole_scheduler, 10)
    assert_same(ours_, whole, tolerance(name, kwargs["lr"]))

    *here, late_here = values_of(ours_)
    back, scheduler = in_torch_scheduled(here)
    back.add_param_group({"params": tensors([late_here]), **added})
    scheduler.load_state_dict(our_scheduler.state_dict())
    back.load_state_dict(to_torch(ours_.state_dict()))
    run(back, scheduler, 10)
    run(whole, whole_scheduler, 10)
    for found, expected in zip(values_of(back), values_of(whole), strict=True):
        np.testing.assert_allclose(
            found, expected, rtol=0, atol=tolerance(name, kwargs["lr"])
        )
    found, expected = (o.state_dict()["param_groups"] for o in (back, whole))
    assert [g["lr"] for g in found] == pytest.approx([g["lr"] for g in expected])


@pytest.mark.parametrize("name", ["SGD", "NAdam", "RMSprop", "SparseAdam"])
def test_a_group_added_later_has_a_state_of_its_own(name):
    kwargs = OPTIMIZERS[name]
    *values, late = start(name)
    optimizer, reference = (
        in_optifunc(name, values, kwargs),
        in_torch(name, values, kwargs),
    )
    step_ours(optimizer)
    step_theirs(reference)
    optimizer.add_param_group({"params": jnp.asarray(late), "lr": 0.1})
    reference.add_param_group({"params": tensors([late]), "lr": 0.1})
    for _ in range(3):
        step_ours(optimizer)
        step_theirs(reference)
    # "lr" comes first in the group that has one of its own; its order is the user's.
    assert_same(optimizer, reference, tolerance(name))


def test_lbfgs_goes_on_from_torch_and_back(x64):
    def torch_loss(x):
        return torch.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    def loss(params):
        x = params["x"]
        return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    def torch_steps(optimizer, count):
        (x,) = torch_params(optimizer)

        def closure():
            optimizer.zero_grad()
            value = torch_loss(x)
            value.backward()
            return value

        for _ in range(count):
            optimizer.step(closure)

    def optimizer_at(values):
        return torch.optim.LBFGS(tensors(values), **kwargs)

    kwargs = {"line_search_fn": "strong_wolfe", "max_iter": 4, "history_size": 5}
    values = [np.linspace(-1.0, 1.0, 5)]
    whole, runner = optimizer_at(values), optimizer_at(values)
    torch_steps(whole, 6)
    torch_steps(runner, 2)
    ours_ = of.optim.LBFGS({"x": jnp.asarray(values_of(runner)[0])}, **kwargs)
    ours_.load_state_dict(runner.state_dict())
    for _ in range(2):
        ours_.step(loss)
    back = optimizer_at(values_of(ours_))
    back.load_state_dict(to_torch(ours_.state_dict()))
    torch_steps(back, 2)
    # Rosenbrock's function multiplies a difference by up to 1e3 in each iteration.
    np.testing.assert_allclose(values_of(back)[0], values_of(whole)[0], atol=1e-7)
    found, expected = back.state_dict()["state"][0], whole.state_dict()["state"][0]
    for key in ("func_evals", "n_iter"):
        assert found[key] == expected[key]


def test_bfloat16_parameters():
    """Moments come in the parameters' dtype, and steps as float32."""
    value = np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)
    param = torch.tensor(value, dtype=torch.bfloat16, requires_grad=True)
    reference = torch.optim.Adam([param], lr=0.1)
    reference.zero_grad()
    param.grad = param.detach()
    reference.step()
    current = jnp.asarray(param.detach().float().numpy(), jnp.bfloat16)
    optimizer = of.optim.Adam([current], lr=0.1)
    optimizer.load_state_dict(reference.state_dict())
    entry = optimizer.state[0]
    assert entry["step"].dtype == np.float32
    assert entry["exp_avg"].dtype == jnp.bfloat16
    back = to_torch(optimizer.state_dict())["state"][0]
    for key, expected in reference.state_dict()["state"][0].items():
        assert torch.equal(back[key], expected)
        assert back[key].dtype == expected.dtype


def test_moments_of_float32_load_into_bfloat16():
    source = of.optim.Adam([jnp.ones(3)])
    step_ours(source)
    optimizer = of.optim.Adam([jnp.ones(3, jnp.bfloat16)])
    optimizer.load_state_dict(source.state_dict())
    assert optimizer.state[0]["exp_avg"].dtype == jnp.bfloat16


# Keys that torch's `__setstate__` adds to the groups of old checkpoints.
FLAGS_ADDED = ["foreach", "maximize", "differentiable", "capturable"]
LATER_KEYS = {
    "SGD": ["nesterov", "maximize", "foreach", "differentiable", "fused"],
    "Adam": ["amsgrad", "fused", "decoupled_weight_decay", *FLAGS_ADDED],
    "AdamW": ["amsgrad", "fused", "decoupled_weight_decay", *FLAGS_ADDED],
    "NAdam": ["decoupled_weight_decay", *FLAGS_ADDED],
    "RAdam": ["decoupled_weight_decay", *FLAGS_ADDED],
    "Adamax": FLAGS_ADDED,
    "Adagrad": ["foreach", "maximize", "differentiable", "fused"],
    "Adadelta": FLAGS_ADDED,
    "RMSprop": ["momentum", "centered", *FLAGS_ADDED],
    "Rprop": FLAGS_ADDED,
    "ASGD": FLAGS_ADDED,
    "Adafactor": ["foreach"],
    "SparseAdam": [],
    "Muon": [],
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_old_checkpoints_lack_keys(name):
    """What torch adds to the groups of an old checkpoint, we add."""
    values = start(name, count=2)
    reference = theirs(name, tensors(values), **OPTIMIZERS[name])
    step_theirs(reference)
    old = reference.state_dict()
    later = LATER_KEYS[name]
    for group in old["param_groups"]:
        for key in later:
            group.pop(key)
    reference.load_state_dict(old)
    optimizer = ours(name, list(map(jnp.asarray, values)), **OPTIMIZERS[name])
    optimizer.load_state_dict(old)
    (found,), (expected,) = (
        o.state_dict()["param_groups"] for o in (optimizer, reference)
    )
    # torch says False where its constructor has None: off, either way.
    assert {k: found[k] or None for k in later} == {
        k: expected[k] or None for k in later
    }
    assert set(found) == set(expected)


def test_adamw_stays_decoupled_whatever_an_old_checkpoint_says():
    optimizer = of.optim.AdamW([jnp.ones(2)])
    old = optimizer.state_dict()
    old["param_groups"][0]["decoupled_weight_decay"] = False
    optimizer.load_state_dict(old)
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True


def test_a_field_that_the_checkpoint_lacks_is_missed_at_the_step():
    plain = of.optim.Adam([jnp.ones(2)])
    step_ours(plain)
    optimizer = of.optim.Adam([jnp.ones(2)], amsgrad=True)
    state_dict = plain.state_dict()
    state_dict["param_groups"][0]["amsgrad"] = True
    optimizer.load_state_dict(state_dict)
    with pytest.raises(KeyError, match="max_exp_avg_sq"):
        step_ours(optimizer)
    assert set(optimizer.state[0]) == {"step", "exp_avg", "exp_avg_sq"}


def test_fields_without_a_use_are_kept():
    source = of.optim.SGD([jnp.ones(2)], momentum=0.9)
    step_ours(source)
    buffer = source.state[0]["momentum_buffer"]
    source.param_groups[0]["momentum"] = 0
    step_ours(source)
    np.testing.assert_array_equal(source.state[0]["momentum_buffer"], buffer)


@pytest.mark.parametrize("name", [*OPTIMIZERS, "LBFGS"])
def test_safetensors_pickle_and_copies(name, tmp_path):
    kwargs = {**OPTIMIZERS, "LBFGS": {"max_iter": 3}}[name]
    values = list(map(jnp.asarray, start(name, count=2)))
    optimizer = ours(name, values, **kwargs)

    def step(o):
        if name == "LBFGS":
            o.step(sum_of_squares)
        else:
            step_ours(o)

    for _ in range(2):
        step(optimizer)
    path = tmp_path / "optimizer.safetensors"
    save_safetensors(optimizer.state_dict(), path)
    loaded = ours(name, optimizer.params, **kwargs)
    loaded.load_state_dict(load_safetensors(path))
    others = [
        loaded,
        copy.deepcopy(optimizer),
        pickle.loads(pickle.dumps(optimizer)),
        copy.copy(optimizer),
    ]
    step(optimizer)
    for other in others[:-1]:
        step(other)
        jax.tree.map(
            np.testing.assert_array_equal,
            (other.params, other.state_dict()),
            (optimizer.params, optimizer.state_dict()),
        )


def sum_of_squares(params):
    return sum(jnp.sum((p - 1) ** 2 + p**4) for p in params)
