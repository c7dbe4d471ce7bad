"""What a stateful optimizer refuses, and what it keeps when something goes wrong."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of
from optifunc import optim


def start():
    return {"w": jnp.array([1.0, -2.0, 3.0]), "b": jnp.array([0.5, 0.25])}


def loss(params, factor=1.0):
    return factor * sum(jnp.sum(jnp.log(x * x)) for x in jax.tree.leaves(params))


def after(optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        optimizer.backward(loss)
        optimizer.step()
    return optimizer


def assert_equal(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


# --- inside JAX's transformations -----------------------------------------------------


@pytest.mark.parametrize(
    "act",
    [
        lambda optimizer: optimizer.step(),
        lambda optimizer: optimizer.step(grads=start()),
        lambda optimizer: optimizer.backward(loss),
        lambda optimizer: optimizer.compile_step(loss)(),
        lambda optimizer: setattr(optimizer, "params", start()),
        lambda optimizer: optimizer.load_state_dict(optimizer.state_dict()),
    ],
)
@pytest.mark.parametrize("transform", [jax.jit, jax.grad, jax.eval_shape])
def test_a_step_inside_jit_is_refused_before_anything_changes(act, transform):
    optimizer = after(optim.Adam(start(), lr=0.1), 1)
    params, state = optimizer.params, optimizer.state

    def function(x):
        act(optimizer)
        return x

    call = (
        (lambda: jax.eval_shape(function, 1.0))
        if (transform is jax.eval_shape)
        else (lambda: transform(function)(1.0))
    )
    with pytest.raises(RuntimeError, match=r"compile_step.*functional\(\)"):
        call()
    assert_equal(optimizer.params, params)
    assert_equal(optimizer.state, state)
    # It goes on as one that never saw `jit`.
    expected = after(optim.Adam(start(), lr=0.1), 2)
    assert_equal(after(optimizer, 1).params, expected.params)


def test_lbfgs_inside_jit_is_refused():
    optimizer = optim.LBFGS(start())
    with pytest.raises(RuntimeError, match="compile_step"):
        jax.jit(lambda: optimizer.step(loss))()
    assert optimizer.state == {}


# --- copies, parameters, donation -----------------------------------------------------


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_survives_the_next_step_of_the_original(copied):
    optimizer = after(optim.Adam(start(), lr=0.1), 2)
    other = copied(optimizer)
    params, state = optimizer.params, optimizer.state
    after(optimizer, 1)
    assert_equal(other.params, params)
    assert_equal(other.state, state)
    assert_equal(after(other, 1).params, optimizer.params)
    optimizer.param_groups[0]["lr"] = 7.0
    assert other.param_groups[0]["lr"] == 0.1


def test_parameters_can_be_loaded():
    optimizer = after(optim.Adam(start(), lr=0.1), 2)
    state = optimizer.state
    tree = {"w": np.array([9.0, 8.0, 7.0]), "b": np.array([6.0, 5.0])}
    optimizer.params = tree
    assert_equal(optimizer.params, tree)
    assert {x.dtype for x in jax.tree.leaves(optimizer.params)} == {jnp.dtype("f4")}
    assert_equal(optimizer.state, state)
    with pytest.raises(ValueError, match=r"params has shape \(2,\) at 'w'"):
        optimizer.params = {"w": jnp.ones(2), "b": jnp.ones(2)}
    with pytest.raises(ValueError, match="surplus"):
        optimizer.params = {**tree, "surplus": jnp.ones(2)}
    assert_equal(optimizer.params, tree)


def test_old_parameters_are_kept_unless_they_may_be_written_over():
    given = start()
    kept = optim.Adam(given, lr=0.1)
    donating = optim.Adam(jax.tree.map(jnp.copy, given), lr=0.1)
    donating.donate_params = True
    before = donating.params
    after(kept, 3)
    after(donating, 3)
    assert_equal(given, start())
    assert all(x.is_deleted() for x in jax.tree.leaves(before))
    assert_equal(donating.params, kept.params)
    assert copy.copy(donating).donate_params is True


# --- steps that fail ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SGD", "Adam", "LBFGS"])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_step_that_finds_nan_leaves_everything_as_it_was(name):
    kwargs = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = getattr(optim, name)(start(), lr=0.1, **kwargs)
    step = optimizer.compile_step(loss)
    step(1.0)
    params, state = optimizer.params, optimizer.state
    with jax.debug_nans(True), pytest.raises(FloatingPointError):
        step(jnp.nan)
    assert_equal(optimizer.params, params)
    assert_equal(optimizer.state, state)
    step(1.0)
    assert np.isfinite(loss(optimizer.params))


def test_a_step_that_fails_while_it_runs_says_how_to_go_on(capfd):
    def checked(x):
        if x < 0:
            raise ValueError("bad batch")
        return np.asarray(x)

    def loss_fn(params, x):
        shape = jax.ShapeDtypeStruct((), jnp.float32)
        return loss(params) * jax.pure_callback(checked, shape, x)

    optimizer = optim.Adam(start(), lr=0.1)
    step = optimizer.compile_step(loss_fn)
    step(jnp.float32(1.0))
    checkpoint, params = optimizer.state_dict(), optimizer.params
    with pytest.raises(Exception, match="bad batch"):
        jax.block_until_ready(step(jnp.float32(-1.0)))
    assert_equal(optimizer.params, params)
    for act in (optimizer.state_dict, lambda: step(jnp.float32(1.0))):
        with pytest.raises(RuntimeError, match="load_state_dict or load_functional"):
            act()
    optimizer.load_state_dict(checkpoint)
    step(jnp.float32(1.0))
    expected = optim.Adam(start(), lr=0.1)
    for _ in range(2):
        expected.compile_step(loss_fn)(jnp.float32(1.0))
    assert_equal(optimizer.params, expected.params)


# --- checkpoints of others, and arguments ---------------------------------------------


@pytest.mark.parametrize(
    ("source", "target"), [("SGD", "Adam"), ("Adam", "RMSprop"), ("Muon", "Adagrad")]
)
def test_a_state_dict_of_another_class_names_both(source, target):
    params = [jnp.ones((2, 2))]
    other = getattr(optim, source)(params)
    other.step(grads=params)
    saved = other.state_dict()
    optimizer = getattr(optim, target)(params)
    with pytest.raises(ValueError, match=rf"one of {target}: .* those of {source}$"):
        optimizer.load_state_dict(saved)
    assert_equal(optimizer.state_dict(), getattr(optim, target)(params).state_dict())


@pytest.mark.torch
def test_a_torch_checkpoint_without_names_warns_where_order_may_lie():
    import torch

    model = torch.nn.Sequential(torch.nn.LayerNorm(4), torch.nn.LayerNorm(4))
    theirs = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 4) * torch.tensor([1.0, 2, 3, 5])).sum().backward()
    theirs.step()
    named = {n: jnp.asarray(p.detach().numpy()) for n, p in model.named_parameters()}
    optimizer = optim.Adam(named)
    message = r"equal shape may be swapped: '0\.bias', '0\.weight', .*from_torch"
    with pytest.warns(UserWarning, match=message):
        optimizer.load_state_dict(theirs.state_dict())
    # In torch's order, or with names, there is nothing to warn of.
    optim.Adam(list(named.items())).load_state_dict(theirs.state_dict())
    by_name = torch.optim.Adam(model.named_parameters())
    by_name.load_state_dict(theirs.state_dict())
    by_name.param_groups[0]["param_names"] = list(named)
    optimizer.load_state_dict(by_name.state_dict())
    for i, name in enumerate(optimizer.parameter_names()[0]):
        expected = theirs.state_dict()["state"][list(named).index(name)]["exp_avg"]
        np.testing.assert_array_equal(optimizer.state[i]["exp_avg"], expected.numpy())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": of.schedules.cosine_annealing(0.1, 10)}, "lr must be .*lr_scheduler"),
        ({"learning_rate": 0.1}, "did you mean 'lr'"),
        ({"b1": 0.9}, "did you mean 'betas'"),
    ],
)
def test_arguments_of_others_say_what_is_meant(arguments, message):
    with pytest.raises(TypeError, match=message):
        optim.Adam(start(), **arguments)


def test_a_closure_that_takes_arguments_says_which_forms_there_are():
    optimizer = optim.Adam(start())
    with pytest.raises(TypeError, match=r"without arguments.*compile_step\(loss_fn\)"):
        optimizer.step(loss)
    lbfgs = optim.LBFGS(start())
    with pytest.raises(TypeError, match=r"without arguments.*or a function of the"):
        lbfgs.step(lambda: loss(lbfgs.params), 1.0)
    with pytest.raises(RuntimeError, match="must compute the gradients"):
        lbfgs.step(lambda: loss(lbfgs.params))
    assert_equal(lbfgs.params, start())


# --- torch's closure for LBFGS --------------------------------------------------------


@pytest.mark.torch
@pytest.mark.parametrize("line_search_fn", [None, "strong_wolfe"])
def test_lbfgs_takes_torchs_closure(line_search_fn, x64):
    import torch

    values = np.array([-0.7, 0.4, 0.3])
    options = {"lr": 0.5, "max_iter": 5, "line_search_fn": line_search_fn}
    theirs = torch.nn.Parameter(torch.tensor(values))
    reference = torch.optim.LBFGS([theirs], **options)
    ours = optim.LBFGS([jnp.asarray(values)], **options)
    calls = {"torch": 0, "ours": 0}

    def value(p, cos):
        return (p * p * (p * p + 1)).sum() + 0.3 * cos(3 * p).sum()

    def their_closure():
        calls["torch"] += 1
        reference.zero_grad()
        result = value(theirs, torch.cos)
        result.backward()
        return result

    def closure():
        calls["ours"] += 1
        ours.zero_grad()
        return ours.backward(lambda params: value(params[0], jnp.cos))

    for _ in range(4):
        expected = float(reference.step(their_closure).detach())
        # float64, a few dozen operations an evaluation
        np.testing.assert_allclose(float(ours.step(closure)), expected, rtol=1e-9)
        np.testing.assert_allclose(
            ours.params[0], theirs.detach().numpy(), rtol=1e-8, atol=1e-10
        )
        assert calls["ours"] == calls["torch"]
    state = reference.state_dict()["state"][0]
    assert ours.state[0]["func_evals"] == state["func_evals"]
    assert ours.state[0]["n_iter"] == state["n_iter"]


# --- a class from a factory -----------------------------------------------------------


def test_a_class_is_made_of_its_factory():
    class Sgd(optim.Optimizer):
        """Gradient descent."""

        factory = of.sgd

    kwargs = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
    own, expected = Sgd(start(), **kwargs), optim.SGD(start(), **kwargs)
    after(own, 3)
    after(expected, 3)
    assert_equal(own.params, expected.params)
    other = Sgd(start())
    other.load_state_dict(own.state_dict())
    assert_equal(other.state, own.state)
    assert other.param_groups[0]["momentum"] == 0.9
    with pytest.raises(TypeError, match="did you mean 'lr'"):
        Sgd(start(), learning_rate=0.1)
    with pytest.raises(ValueError, match="lr"):
        Sgd(start(), lr=-0.1)
