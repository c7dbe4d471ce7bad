"""Checkpoints whose parameters come in another order: matched by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of
from optifunc.interop.torch import to_torch

from .harness import (
    OPTIMIZERS,
    ours,
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
