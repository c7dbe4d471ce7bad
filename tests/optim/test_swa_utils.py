"""Averages of parameters against `torch.optim.swa_utils`; SWALR is a scheduler."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import optifunc as of
import optifunc.optim as optim
from optifunc.optim import swa_utils as ours

torch = pytest.importorskip("torch", reason="parity needs torch (extra `parity`)")
pytestmark = pytest.mark.torch

theirs = torch.optim.swa_utils


class Model(torch.nn.Module):
    """Parameters and buffers of several dtypes."""

    def __init__(self, params, buffers):
        super().__init__()
        for name, value in params.items():
            self.register_parameter(name, torch.nn.Parameter(torch.tensor(value)))
        for name, value in buffers.items():
            self.register_buffer(name, torch.tensor(value))


def values(seed):
    rng = np.random.default_rng(seed)
    params = {
        "bias": rng.normal(size=()).astype(np.float32),
        "wide": rng.normal(size=3),
        "turn": (rng.normal(size=2) + 1j * rng.normal(size=2)).astype(np.complex64),
        "weight": rng.normal(size=(2, 3)).astype(np.float32),
    }
    buffers = {
        "count": np.int32(seed * 7),
        "mean": rng.normal(size=3).astype(np.float32),
    }
    return params, buffers


def as_arrays(tree):
    return jax.tree.map(jnp.asarray, tree)


AVERAGES = {
    "default": ({}, {}),
    "swa": (
        {"avg_fn": ours.get_swa_avg_fn()},
        {"avg_fn": theirs.get_swa_avg_fn()},
    ),
    "swa of lists": (
        {"multi_avg_fn": ours.get_swa_multi_avg_fn()},
        {"multi_avg_fn": theirs.get_swa_multi_avg_fn()},
    ),
    "ema": (
        {"avg_fn": ours.get_ema_avg_fn(0.7)},
        {"avg_fn": theirs.get_ema_avg_fn(0.7)},
    ),
    "ema of lists": (
        {"multi_avg_fn": ours.get_ema_multi_avg_fn(0.2)},
        {"multi_avg_fn": theirs.get_ema_multi_avg_fn(0.2)},
    ),
    "your own": (
        {"avg_fn": lambda a, c, n: a + c * n},
        {"avg_fn": lambda a, c, n: a + c * n},
    ),
}


def assert_same(model, reference):
    # A few roundings of float32 in each of six updates.
    tolerance = {"float32": 2e-6, "complex64": 2e-6, "float64": 1e-14}
    assert model.n_averaged == reference.n_averaged.item()
    expected = dict(reference.module.named_parameters())
    expected |= dict(reference.module.named_buffers())
    found = {**model.params, **model.buffers}
    assert set(found) == set(expected)
    for name, value in expected.items():
        value = value.detach().numpy()
        assert found[name].dtype == value.dtype
        np.testing.assert_allclose(
            found[name], value, rtol=tolerance.get(str(value.dtype), 0), atol=1e-6
        )


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("name", AVERAGES)
def test_averages_follow_torch(name, use_buffers):
    mine, their = AVERAGES[name]

    def values_at(seed):
        params, buffers = values(seed)
        if name == "swa of lists" and use_buffers:
            del buffers["count"]  # torch 2.13 fails on integers there
        return params, buffers

    params, buffers = values_at(0)
    model = ours.AveragedModel(
        as_arrays(params), use_buffers=use_buffers, buffers=as_arrays(buffers), **mine
    )
    reference = theirs.AveragedModel(
        Model(params, buffers), use_buffers=use_buffers, **their
    )
    assert_same(model, reference)
    for seed in range(1, 7):
        params, buffers = values_at(seed)
        model.update_parameters(as_arrays(params), as_arrays(buffers))
        reference.update_parameters(Model(params, buffers))
        assert_same(model, reference)


def test_the_pure_face_averages_alike():
    tx = of.chain(of.sgd(0.1), of.average_parameters())
    params = {"w": jnp.arange(3.0)}
    state = tx.init(params)
    optimizer = optim.SGD(params, lr=0.1)
    model = ours.AveragedModel(optimizer.params)
    for step in range(5):
        grads = {"w": jnp.cos(jnp.arange(3.0) + step)}
        updates, state = tx.update(grads, state, params)
        params = of.apply_updates(params, updates)
        optimizer.step(grads=grads)
        model.update_parameters(optimizer.params)
    (average,) = (x.average for x in state if hasattr(x, "average"))
    np.testing.assert_allclose(model.params["w"], average["w"], rtol=1e-6)


def test_low_precision_leaves_average_in_float32():
    model = ours.AveragedModel(jnp.ones(2, jnp.bfloat16))
    for value in (1.0, 2.0, 4.0):
        model.update_parameters(jnp.full(2, value, jnp.bfloat16))
    assert model.params.dtype == jnp.bfloat16
    # 1.5, then 1.5 + 2.5 / 3 = 7 / 3, rounded once to 8 bits.
    assert model.params[0] == jnp.asarray(7 / 3, jnp.bfloat16)


def test_averages_are_copies_with_the_sharding_of_the_parameters():
    mesh = Mesh(np.array(jax.devices()[:2]), "x")
    sharding = NamedSharding(mesh, PartitionSpec("x"))
    params = {"a": jax.device_put(jnp.ones(4), sharding), "b": None}
    model = ours.AveragedModel(params)
    for _ in range(2):
        model.update_parameters(params)
    for average in (model.params["a"], ours.AveragedModel(params).params["a"]):
        assert average.sharding.is_equivalent_to(sharding, 1)
    params["a"].delete()
    assert model.params["a"].tolist() == [1.0] * 4
    device = jax.devices()[3]
    model = ours.AveragedModel(jnp.ones(4), device)
    model.update_parameters(jnp.ones(4))
    assert model.params.devices() == {device}


def test_checkpoints():
    params, buffers = (as_arrays({"net": [x]}) for x in values(1))
    model = ours.AveragedModel(params, buffers=buffers, use_buffers=True)
    other = ours.AveragedModel(
        *(jax.tree.map(jnp.zeros_like, (params,))),
        buffers=jax.tree.map(jnp.zeros_like, buffers),
        use_buffers=True,
    )
    for seed in (1, 2):
        new = [as_arrays({"net": [x]}) for x in values(seed)]
        model.update_parameters(*new)
    state = model.state_dict()
    assert set(state) == {
        "n_averaged",
        *(f"module.net.0.{name}" for name in ("bias", "wide", "turn", "weight")),
        *(f"buffers.net.0.{name}" for name in ("count", "mean")),
    }
    state["module.net.0.weight"] = torch.tensor(
        np.array(state["module.net.0.weight"]), requires_grad=True
    )
    state["n_averaged"] = torch.tensor(2)
    other.load_state_dict(state)
    new = [as_arrays({"net": [x]}) for x in values(3)]
    model.update_parameters(*new)
    other.update_parameters(*new)
    for mine, reference in zip(
        jax.tree.leaves((other.params, other.buffers)),
        jax.tree.leaves((model.params, model.buffers)),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, reference)

    before = dict(model.state_dict())
    for change, message in (
        ({"module.net.0.weight": jnp.ones(2)}, r"\(2,\) at 'module.net.0.weight'"),
        ({"module.extra": jnp.ones(2)}, r"it also has \['module.extra'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            model.load_state_dict(before | change)
    del state["module.net.0.bias"]
    with pytest.raises(ValueError, match=r"it lacks \['module.net.0.bias'\]"):
        model.load_state_dict(state)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])
    assert ours.AveragedModel(jnp.ones(2)).state_dict().keys() == {
        "n_averaged",
        "module",
    }


def test_update_bn_follows_torch():
    rng = np.random.default_rng(0)
    # The last batch is smaller: batches count alike, as in torch.
    batches = [rng.normal(1, 2, (n, 5)).astype(np.float32) for n in (8, 8, 3)]
    weight = rng.normal(size=(4, 5)).astype(np.float32)

    net = torch.nn.Sequential(
        torch.nn.Linear(5, 4, bias=False), torch.nn.BatchNorm1d(4)
    )
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor(weight))
    reference = theirs.AveragedModel(net)
    loader = [(torch.tensor(x), torch.zeros(len(x))) for x in batches]
    theirs.update_bn(loader, reference)

    def statistics(params, x):
        y = x @ params["weight"].T
        return {"mean": jnp.mean(y, 0), "var": jnp.var(y, 0, ddof=1)}

    buffers = {"mean": jnp.zeros(4), "var": jnp.ones(4)}
    norm = reference.module[1]
    for start, device in ((buffers, None), (None, jax.devices()[0])):
        model = ours.AveragedModel({"weight": jnp.asarray(weight)}, buffers=start)
        ours.update_bn([], model, statistics)
        assert model.buffers is None or model.buffers["var"].tolist() == [1.0] * 4
        ours.update_bn(
            [(jnp.asarray(x), 0) for x in batches], model, statistics, device
        )
        # Sums of at most 8 terms in float32, in another order.
        np.testing.assert_allclose(model.buffers["mean"], norm.running_mean, rtol=1e-5)
        np.testing.assert_allclose(model.buffers["var"], norm.running_var, rtol=1e-5)
    with pytest.raises(ValueError, match="statistics must have the structure of model"):
        ours.update_bn(batches, model, lambda params, x: {"mean": x[0]})


def test_errors_leave_the_average_as_it_was():
    mean = ours.get_swa_avg_fn()
    with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn"):
        ours.AveragedModel(jnp.ones(2), None, mean, ours.get_swa_multi_avg_fn())
    for decay in (-0.1, 1.1, float("nan")):
        for get in (ours.get_ema_avg_fn, ours.get_ema_multi_avg_fn):
            with pytest.raises(ValueError, match="Invalid decay value"):
                get(decay)
    model = ours.AveragedModel({"a": jnp.ones(2)}, buffers=jnp.ones(3))
    for params, buffers, message in (
        ({"b": jnp.zeros(2)}, jnp.zeros(3), "params has no leaf at 'a'"),
        ({"a": jnp.zeros(3)}, jnp.zeros(3), r"differ in shape at 'a'"),
        ({"a": jnp.zeros(2)}, None, "buffers must have the structure of"),
        ({"a": jnp.zeros(2)}, jnp.zeros(1), "differ in shape"),
    ):
        with pytest.raises(ValueError, match=message):
            model.update_parameters(params, buffers)
    assert model.n_averaged == 0
    assert model.params["a"].tolist() == [1, 1]
    assert model.buffers.tolist() == [1, 1, 1]


def test_the_loop_of_the_documentation():
    """SWALR and AveragedModel in torch's order of calls."""
    optimizer = optim.SGD({"w": jnp.ones(2)}, lr=0.1)
    reference = torch.nn.Parameter(torch.ones(2))
    their_optimizer = torch.optim.SGD([reference], lr=0.1)
    module = torch.nn.Module()
    module.register_parameter("w", reference)
    runs = (
        (optim.lr_scheduler, ours, optimizer),
        (torch.optim.lr_scheduler, theirs, their_optimizer),
    )
    models = ours.AveragedModel(optimizer.params), theirs.AveragedModel(module)
    schedulers = [
        (lr.CosineAnnealingLR(o, T_max=30), utils.SWALR(o, swa_lr=0.05))
        for lr, utils, o in runs
    ]
    for epoch in range(20):
        optimizer.step(grads={"w": optimizer.params["w"]})
        reference.grad = reference.detach().clone()
        their_optimizer.step()
        late = epoch > 10
        for pair in schedulers:
            pair[late].step()
        if late:
            models[0].update_parameters(optimizer.params)
            models[1].update_parameters(module)
    np.testing.assert_allclose(
        models[0].params["w"], models[1].module.w.detach(), rtol=1e-6
    )
    assert models[0].n_averaged == models[1].n_averaged.item() == 9


@pytest.mark.parametrize("multi", [False, True])
def test_the_decay_of_an_average_may_be_a_schedule(multi):
    decay = of.schedules.polynomial_ema_decay(8.0)
    if multi:
        rule = {"multi_avg_fn": ours.get_ema_multi_avg_fn(decay)}
    else:
        rule = {"avg_fn": ours.get_ema_avg_fn(decay)}
    params = {"a": jnp.ones(2), "h": jnp.ones(2, jnp.bfloat16), "c": jnp.full(2, 1j)}
    averaged = ours.AveragedModel(params, **rule)
    for t in (1, 2, 3):
        averaged.update_parameters(jax.tree.map(lambda p, t=t: p * t, params))
    # The specification's polynomial average of 1, 2, 3.
    np.testing.assert_allclose(averaged.params["a"], 2.8, rtol=1e-6)
    np.testing.assert_allclose(averaged.params["c"], 2.8j, rtol=1e-6)
    assert averaged.params["h"].dtype == jnp.bfloat16
