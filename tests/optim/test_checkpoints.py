"""Checkpoints to torch, from torch and in files."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of
from optifunc.interop.torch import (
    from_torch,
    load_safetensors,
    save_safetensors,
    to_torch,
)

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


def values_of(optimizer):
    if isinstance(optimizer, of.optim.Optimizer):
        return list(map(np.asarray, jax.tree.leaves(optimizer.params)))
    return [p.detach().numpy().copy() for p in torch_params(optimizer)]


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


def test_names_order_and_transposition():
    """Linear weights are transposed kernels, and so are their moments."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)
    )
    inputs = torch.randn(5, 3)
    reference = torch.optim.Adam(model.named_parameters(), lr=0.1)

    def torch_step():
        reference.zero_grad()
        model(inputs).square().sum().backward()
        reference.step()

    def kernels():
        return {
            name: {
                "kernel": jnp.asarray(layer.weight.detach().numpy().T),
                "bias": jnp.asarray(layer.bias.detach().numpy()),
            }
            for name, layer in (("first", model[0]), ("last", model[2]))
        }

    def loss(params, x):
        hidden = jnp.tanh(x @ params["first"]["kernel"] + params["first"]["bias"][None])
        out = hidden @ params["last"]["kernel"] + params["last"]["bias"][None]
        return jnp.sum(out**2)

    def transposed(name, x):
        return x.T if x.ndim == 2 else x

    to_ours = {"0.weight": "first.kernel", "0.bias": "first.bias"}
    to_ours |= {"2.weight": "last.kernel", "2.bias": "last.bias"}
    torch_step()
    optimizer = of.optim.Adam(kernels(), lr=0.1)
    assert optimizer.parameter_names() == [
        ["first.bias", "first.kernel", "last.bias", "last.kernel"]
    ]
    optimizer.load_state_dict(
        from_torch(
            reference.state_dict(),
            target=optimizer.parameter_names(),
            rename=to_ours.__getitem__,
            transform=transposed,
        )
    )
    for _ in range(3):
        optimizer.backward(loss, jnp.asarray(inputs.numpy()))
        optimizer.step()
        optimizer.zero_grad()
        torch_step()
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5),
        optimizer.params,
        kernels(),
    )
    to_theirs = {ours: name for name, ours in to_ours.items()}
    back = to_torch(
        optimizer.state_dict(),
        source=optimizer.parameter_names(),
        target=[[name for name, _ in model.named_parameters()]],
        rename=to_theirs.__getitem__,
        transform=transposed,
    )
    for number, entry in reference.state_dict()["state"].items():
        for key, value in entry.items():
            np.testing.assert_allclose(back["state"][number][key], value, atol=1e-5)
    with pytest.raises(ValueError, match="no parameter is named"):
        from_torch(reference.state_dict(), target=optimizer.parameter_names())
    with pytest.raises(ValueError, match="and no names; give source="):
        to_torch(of.optim.SGD(kernels()).state_dict(), rename=to_theirs.__getitem__)


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
    pytest.importorskip("safetensors", reason="needs the extra `checkpoints`")
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


def test_a_file_of_someone_else(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy", reason="extra `checkpoints`")
    path = tmp_path / "model.safetensors"
    numpy.save_file({"w": np.ones(2)}, path)
    with pytest.raises(ValueError, match="no state dict written by save_safetensors"):
        load_safetensors(path)
    with pytest.raises(TypeError, match=r"at 'param_groups\.0\.hook'"):
        save_safetensors({"param_groups": [{"hook": print}]}, path)


def test_the_same_names_in_another_order_are_matched_by_name():
    named = [("a", jnp.ones(3)), ("b", jnp.full(3, 2.0))]
    one = of.optim.Adam(named, lr=0.1)
    one.step(grads={"a": jnp.ones(3), "b": -3 * jnp.ones(3)})
    other = of.optim.Adam(named[::-1])
    other.load_state_dict(one.state_dict())
    for optimizer in (one, other):
        optimizer.step(grads={"a": jnp.ones(3), "b": jnp.ones(3)})
    # The second moments differ, so that a mix-up would show in the second step.
    first, second = np.asarray(one.params["a"]), np.asarray(one.params["b"])
    assert other.param_groups[0]["param_names"] == ["b", "a"]
    np.testing.assert_array_equal(other.state[1]["exp_avg"], one.state[0]["exp_avg"])
    np.testing.assert_array_equal(other.state[0]["exp_avg"], one.state[1]["exp_avg"])
    moved_a = first - (1 - 0.1)  # the first step is lr times the gradient's sign
    moved_b = second - (2 + 0.1)
    np.testing.assert_allclose(other.params["a"] - 1, moved_a, atol=1e-6)
    np.testing.assert_allclose(other.params["b"] - 2, moved_b, atol=1e-6)


# --- names in another order -----------------------------------------------------------

# Of one shape for most, so that the shapes tell nothing. Torch lists them as they are
# here, JAX with the keys sorted.
SAVED_ORDER = ["q", "k", "v", "o.weight", "o.bias"]
OWN_ORDER = ["k", "o.bias", "o.weight", "q", "v"]


def values_by_name(name):
    rng = np.random.default_rng(1)
    shape = (4, 2) if name == "SparseAdam" else (3, 3)
    return {n: rng.uniform(-0.5, 0.5, shape).astype(np.float32) for n in SAVED_ORDER}


def nested(values):
    """Arrays by dotted name as the tree of such paths."""
    return {
        **{n: jnp.asarray(x) for n, x in values.items() if "." not in n},
        **{
            "o": {
                n.removeprefix("o."): jnp.asarray(x)
                for n, x in values.items()
                if n.startswith("o.")
            }
        },
    }


def by_name(optimizer):
    """Parameters and their states by name, for an optimizer of either library."""
    state = optimizer.state_dict()
    names = [n for group in optimizer.param_groups for n in group["param_names"]]
    numbers = [i for group in state["param_groups"] for i in group["params"]]
    values = dict(zip(names, values_of(optimizer), strict=True))
    return values, {
        n: state["state"][i]
        for n, i in zip(names, numbers, strict=True)
        if i in state["state"]
    }


def assert_same_by_name(optimizer, reference, atol):
    (values, states), (expected, wanted) = by_name(optimizer), by_name(reference)
    assert values.keys() == expected.keys()
    assert states.keys() == wanted.keys()
    for n, value in expected.items():
        np.testing.assert_allclose(values[n], value, rtol=0, atol=atol, err_msg=n)
    for n, entry in wanted.items():
        assert states[n].keys() == entry.keys()
        for key, value in entry.items():
            found, value = np.asarray(states[n][key]), np.asarray(value)
            assert found.dtype == value.dtype
            np.testing.assert_allclose(
                found, value, rtol=1e-5 if atol else 0, atol=atol, err_msg=f"{n} {key}"
            )


def named_in_torch(name, **kwargs):
    values = values_by_name(name)
    pairs = list(zip(values, tensors(list(values.values())), strict=True))
    return theirs(name, pairs, **kwargs)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_torchs_order_of_a_dict_is_matched_by_name(name):
    """A dict of parameters goes on as torch does, and comes back."""
    kwargs = OPTIMIZERS[name]
    reference = named_in_torch(name, **kwargs)
    for present in ([True] * 5, [True, True, False, True, False]):
        step_theirs(reference, present)
    values, _ = by_name(reference)
    optimizer = ours(name, nested(values), **kwargs)
    optimizer.load_state_dict(reference.state_dict())
    assert optimizer.parameter_names() == [OWN_ORDER]
    assert optimizer.param_groups[0]["param_names"] == OWN_ORDER
    assert_same_by_name(optimizer, reference, 0.0)
    for _ in range(3):
        step_ours(optimizer)
        step_theirs(reference)
    assert_same_by_name(optimizer, reference, tolerance(name, kwargs["lr"]))

    # Its own checkpoint, and one in torch's order made of it.
    copy_of_it = ours(name, optimizer.params, **kwargs)
    copy_of_it.load_state_dict(optimizer.state_dict())
    assert_same_by_name(copy_of_it, optimizer, 0.0)
    values, _ = by_name(optimizer)
    back = named_in_torch(name, **kwargs)
    back.load_state_dict(to_torch(optimizer.state_dict(), target=[SAVED_ORDER]))
    with torch.no_grad():
        for n, p in zip(SAVED_ORDER, torch_params(back), strict=True):
            p.copy_(torch.tensor(values[n]))
    step_theirs(back)
    step_theirs(reference)
    assert_same_by_name(back, reference, tolerance(name, kwargs["lr"]))


def test_names_in_another_order_in_two_groups():
    values = values_by_name("Adam")
    given = dict(zip(values, tensors(list(values.values())), strict=True))
    reference = torch.optim.Adam(
        [
            {"params": [(n, given[n]) for n in ("v", "q")], "lr": 0.1},
            {"params": [(n, given[n]) for n in ("o.weight", "o.bias", "k")]},
        ]
    )
    for present in ([True] * 5, [True, False, True, True, False]):
        step_theirs(reference, present)
    values, _ = by_name(reference)
    optimizer = of.optim.Adam(
        [
            {"params": {n: jnp.asarray(values[n]) for n in ("q", "v")}},
            {"params": nested({n: values[n] for n in ("k", "o.weight", "o.bias")})},
        ]
    )
    scheduler = of.optim.lr_scheduler.StepLR(optimizer, 3)
    before = scheduler.state_dict()
    optimizer.load_state_dict(reference.state_dict())
    assert scheduler.state_dict() == before
    names = [["q", "v"], ["k", "o.bias", "o.weight"]]
    assert optimizer.parameter_names() == names
    assert [g["param_names"] for g in optimizer.param_groups] == names
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 1e-3]
    assert_same_by_name(optimizer, reference, 0.0)
    for _ in range(3):
        step_ours(optimizer)
        step_theirs(reference)
    assert_same_by_name(optimizer, reference, tolerance("Adam"))


def test_a_pure_transformations_state_is_matched_by_name():
    tx = of.chain(of.clip_by_global_norm(1.0), of.adam(0.1))
    pairs = [(n, jnp.asarray(x)) for n, x in values_by_name("Adam").items()]
    one = of.optim.Stateful(tx, pairs)
    step_ours(one)
    other = of.optim.Stateful(tx, nested(one.params))
    other.load_state_dict(one.state_dict())
    for _ in range(2):
        assert_same_by_name(other, one, 1e-6)
        step_ours(one)
        step_ours(other)


OTHER_NAMES = {
    "others": ["x", "y", "z"],
    "one of another name": ["c", "b", "x"],
    "one twice": ["c", "b", "b"],
    "too few": ["c", "b"],
    "none": None,
}


@pytest.mark.parametrize("names", OTHER_NAMES.values(), ids=OTHER_NAMES)
def test_other_names_are_matched_by_order(names):
    numbers = np.arange(3.0, dtype=np.float32)
    one = of.optim.SGD([jnp.full(2, x) for x in numbers], lr=0.1, momentum=0.9)
    one.step(grads=one.params)
    state_dict = one.state_dict()
    if names is not None:
        state_dict["param_groups"][0]["param_names"] = names
    other = of.optim.SGD({n: jnp.full(2, 5.0) for n in "abc"})
    other.load_state_dict(state_dict)
    assert other.param_groups[0].get("param_names") == names
    for i, x in enumerate(numbers):
        np.testing.assert_array_equal(other.state[i]["momentum_buffer"], x)


def test_a_state_in_another_order_that_does_not_fit_changes_nothing():
    def optimizer_of(a, b):
        return of.optim.Adam({"a": jnp.ones(a), "b": jnp.ones(b)}, lr=0.1)

    reference = torch.optim.Adam(
        [
            (n, torch.ones(shape, requires_grad=True))
            for n, shape in (("b", 3), ("a", 2))
        ]
    )
    step_theirs(reference)
    optimizer = optimizer_of(3, 2)
    step_ours(optimizer)
    before = optimizer.state_dict()
    # By position the shapes would fit, by name they do not.
    with pytest.raises(ValueError, match=r"parameter 0 has shape \(2,\), expected"):
        optimizer.load_state_dict(reference.state_dict())
    jax.tree.map(np.testing.assert_array_equal, optimizer.state_dict(), before)
    fitting = optimizer_of(2, 3)
    fitting.load_state_dict(reference.state_dict())
    assert fitting.state[0]["exp_avg"].shape == (2,)


def test_lbfgs_in_another_order(x64):
    """Its one state is vectors of all parameters, one after the other."""
    values = {"q": np.array([0.5, -1.0]), "a": np.array([1.5]), "k": np.eye(2) - 0.3}
    kwargs = {"line_search_fn": "strong_wolfe", "max_iter": 3, "history_size": 4}

    def loss_of(p, cos):
        return (
            ((p["k"] @ p["q"] - 1) ** 2).sum()
            + (cos(p["a"]) * p["q"][0]).sum()
            + (p["k"] ** 4).sum()
            + (p["a"] ** 2 * p["q"] ** 2).sum()
        )

    given = {n: torch.tensor(x, requires_grad=True) for n, x in values.items()}
    reference = torch.optim.LBFGS(list(given.items()), **kwargs)

    def closure():
        reference.zero_grad()
        value = loss_of(given, torch.cos)
        value.backward()
        return value

    for _ in range(2):
        reference.step(closure)
    current = {n: jnp.asarray(x.detach().numpy()) for n, x in given.items()}
    optimizer = of.optim.LBFGS(current, **kwargs)
    optimizer.load_state_dict(reference.state_dict())
    assert optimizer.param_groups[0]["param_names"] == ["a", "k", "q"]
    again = of.optim.LBFGS(list(current.items()), **kwargs)
    again.load_state_dict(optimizer.state_dict())
    in_its_order = of.optim.LBFGS(list(current.items()), **kwargs)
    in_its_order.load_state_dict(reference.state_dict())
    jax.tree.map(np.testing.assert_array_equal, again.state, in_its_order.state)
    for _ in range(2):
        expected = reference.step(closure)
        for ours_ in (optimizer, again):
            found = ours_.step(lambda p: loss_of(p, jnp.cos))
            np.testing.assert_allclose(found, expected.item(), rtol=1e-10)
    for n, x in given.items():
        for ours_ in (optimizer, again):
            np.testing.assert_allclose(ours_.params[n], x.detach().numpy(), atol=1e-8)


def test_lbfgs_of_complex_parameters_in_another_order():
    def loss_of(p):
        z = p["z"] * (1 + 2j) - 1
        return jnp.sum(jnp.abs(z) ** 2) + jnp.sum((p["a"] - 2) ** 2 * p["a"] ** 2)

    start_of = {"z": jnp.array([1 + 1j, 2j], jnp.complex64), "a": jnp.ones(3)}
    one = of.optim.LBFGS(list(start_of.items()), max_iter=3)
    one.step(loss_of)
    other = of.optim.LBFGS(dict(one.params), max_iter=3)
    other.load_state_dict(one.state_dict())
    assert other.parameter_names() == [["a", "z"]]
    for optimizer in (one, other):
        optimizer.step(loss_of)
    for n in start_of:
        np.testing.assert_allclose(other.params[n], one.params[n], atol=1e-5)
