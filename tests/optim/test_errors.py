"""PyTorch's own error inputs for its optimizers, and errors of our own."""

import copy
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .harness import OPTIMIZERS, torch

pytest.importorskip("expecttest", reason="torch's test database needs expecttest")

from torch.testing._internal.common_optimizers import (
    OptimizerErrorEnum,
    optim_db,
)

pytestmark = pytest.mark.torch

ERROR_INPUTS = [
    (entry.optim_cls.__name__, error)
    for entry in optim_db
    for error in entry.optim_error_inputs_func(device="cpu", dtype=torch.float32)
]

# Error inputs, by torch's description, that are no errors here, and why.
NO_ERROR = {
    "invalid param type": "a single array is a pytree like any other",
}


def as_jax(value):
    """torch's arguments with arrays in place of tensors, the same for the same."""
    seen = {}

    def convert(x):
        if isinstance(x, torch.Tensor):
            if id(x) not in seen:
                seen[id(x)] = _array(x)
            return seen[id(x)]
        if isinstance(x, dict):
            return {k: convert(v) for k, v in x.items()}
        if isinstance(x, list | tuple):
            return type(x)(map(convert, x))
        return x

    return convert(value)


def _array(tensor):
    if tensor.layout == torch.sparse_coo:
        dense = jnp.asarray(tensor.to_dense().detach().numpy())
        return jax.experimental.sparse.BCOO.fromdense(dense)
    return jnp.asarray(tensor.detach().numpy())


def test_the_database_is_whole():
    assert len(ERROR_INPUTS) == 124


@pytest.mark.cheap
@pytest.mark.parametrize(
    ("name", "error"),
    ERROR_INPUTS,
    ids=lambda x: x if isinstance(x, str) else x.optimizer_error_input.desc,
)
def test_error_inputs_of_torch(name, error):
    case = error.optimizer_error_input
    params = case.params
    if params is None:
        params = [torch.zeros(2, 2, requires_grad=True)]
    params, kwargs = as_jax(params), as_jax(case.kwargs)
    build = getattr(of.optim, name)
    if case.desc in NO_ERROR:
        build(params, **kwargs)
    elif error.error_on is OptimizerErrorEnum.STEP_ERROR:
        optimizer = build(params, **kwargs)
        with pytest.raises(error.error_type, match=error.error_regex):
            optimizer.step(grads=params)
    elif issubclass(error.error_type, Warning):
        with pytest.warns(error.error_type, match=error.error_regex):
            build(params, **kwargs)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a flag without effect
            with pytest.raises(error.error_type, match=error.error_regex):
                build(params, **kwargs)


# --- errors leave everything as it was -----------------------------------------------


def snapshot(optimizer):
    return copy.deepcopy((optimizer.params, optimizer.state_dict(), optimizer.grads))


def assert_unchanged(optimizer, before):
    after = snapshot(optimizer)
    assert jax.tree.structure(after) == jax.tree.structure(before)
    jax.tree.map(np.testing.assert_array_equal, after, before)


def two_groups():
    first = {"w": jnp.ones((3, 2)), "b": jnp.zeros(2)}
    groups = [{"params": first}, {"params": [jnp.ones(4)], "lr": 0.1}]
    optimizer = of.optim.Adam(groups, lr=1e-2, weight_decay=0.1)
    optimizer.step(grads=jax.tree.map(jnp.ones_like, optimizer.params))
    optimizer.grads = optimizer.params
    return optimizer


def without(state_dict, key):
    return {k: v for k, v in state_dict.items() if k != key}


def with_moment(state_dict, value):
    changed = copy.deepcopy(state_dict)
    changed["state"][0]["exp_avg"] = value
    return changed


def set_betas(optimizer, betas):
    before = optimizer.param_groups[1]["betas"]
    optimizer.param_groups[1]["betas"] = betas
    try:
        optimizer.step()
    finally:
        optimizer.param_groups[1]["betas"] = before


BAD = {
    "a group without params": (
        lambda o: o.add_param_group({"lr": 0.1}),
        KeyError,
        "params",
    ),
    "a group that is not a dict": (
        lambda o: o.add_param_group([jnp.ones(2)]),
        TypeError,
        "param_group must be a dict",
    ),
    "a set": (
        lambda o: o.add_param_group({"params": {"a"}}),
        TypeError,
        "ordered collections",
    ),
    "a number as parameter": (
        lambda o: o.add_param_group({"params": [1.0]}),
        TypeError,
        "one of the params is float",
    ),
    "integers as parameter": (
        lambda o: o.add_param_group({"params": [jnp.arange(3)]}),
        TypeError,
        "one of the params is int32",
    ),
    "a parameter in two groups": (
        lambda o: o.add_param_group({"params": [o.params[0]["w"]]}),
        ValueError,
        "more than one parameter group",
    ),
    "names in one group only": (
        lambda o: o.add_param_group({"params": [("x", jnp.ones(2))]}),
        ValueError,
        "cannot add param group with names",
    ),
    "a gradient without a leaf": (
        lambda o: o.step(grads=[{"w": jnp.ones((3, 2))}, [jnp.ones(4)]]),
        ValueError,
        r"grads has no leaf at '0\.b'",
    ),
    "a gradient with a wrong shape": (
        lambda o: o.step(
            grads=[{"w": jnp.ones((2, 3)), "b": jnp.ones(2)}, [jnp.ones(4)]]
        ),
        ValueError,
        r"shape at '0\.w': \(2, 3\) and \(3, 2\)",
    ),
    "a gradient that is not an array": (
        lambda o: o.step(grads=[{"w": 1.0, "b": jnp.ones(2)}, [jnp.ones(4)]]),
        TypeError,
        r"found float at '0\.w'",
    ),
    "grads of another structure": (
        lambda o: setattr(o, "grads", [jnp.ones(4)]),
        ValueError,
        "grads must have the structure of params",
    ),
    "a state dict without state": (
        lambda o: o.load_state_dict(without(o.state_dict(), "state")),
        KeyError,
        "state",
    ),
    "a state dict without groups": (
        lambda o: o.load_state_dict(without(o.state_dict(), "param_groups")),
        KeyError,
        "param_groups",
    ),
    "a state dict with one group": (
        lambda o: o.load_state_dict(of.optim.Adam([jnp.ones(2)]).state_dict()),
        ValueError,
        "different number of parameter groups",
    ),
    "a state dict with other parameters": (
        lambda o: o.load_state_dict(
            of.optim.Adam(
                [{"params": jnp.ones(2)}, {"params": jnp.ones(2)}]
            ).state_dict()
        ),
        ValueError,
        "doesn't match the size of optimizer's group",
    ),
    "a moment with a wrong shape": (
        lambda o: o.load_state_dict(with_moment(o.state_dict(), np.ones(7))),
        ValueError,
        r"exp_avg of parameter 0 has shape \(7,\), expected \(2,\)",
    ),
    "NaN betas in a group": (
        lambda o: set_betas(o, (float("nan"), 0.99)),
        ValueError,
        r"betas\[0\] must be at least 0 and below 1, found nan",
    ),
    "a loss that is not a scalar": (
        lambda o: o.backward(lambda params: params[1][0]),
        TypeError,
        "scalar",
    ),
    "a train step that fails": (
        lambda o: o.compile_step(lambda params: params[1][0])(),
        TypeError,
        "scalar",
    ),
    "a closure that fails": (
        lambda o: o.step(lambda: 1 / 0),
        ZeroDivisionError,
        "division by zero",
    ),
    "parameters of another shape": (
        lambda o: o.load_functional(
            o.functional()[1],
            [{"w": jnp.ones((3, 2)), "b": jnp.ones(3)}, [jnp.ones(4)]],
        ),
        ValueError,
        r"params has shape \(3,\) at '0\.b'",
    ),
    "a state of another structure": (
        lambda o: o.load_functional((), o.params),
        ValueError,
        "state must have the structure",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_changes_nothing(case):
    act, error, message = BAD[case]
    optimizer = two_groups()
    before = snapshot(optimizer)
    with pytest.raises(error, match=message):
        act(optimizer)
    assert_unchanged(optimizer, before)
    optimizer.step()


@pytest.mark.parametrize(
    ("closure", "message"),
    [
        ((), "closure"),
        ((None,), "needs a closure"),
        ((lambda params: None,), "must return the loss"),
    ],
)
def test_lbfgs_needs_a_closure_that_returns_the_loss(closure, message):
    optimizer = of.optim.LBFGS({"x": jnp.ones(3)})
    optimizer.step(lambda params: jnp.sum(params["x"] ** 2))
    before = snapshot(optimizer)
    with pytest.raises(TypeError, match=message):
        optimizer.step(*closure)
    assert_unchanged(optimizer, before)


def test_lbfgs_limits():
    with pytest.raises(ValueError, match="doesn't support per-parameter options"):
        of.optim.LBFGS([{"params": jnp.ones(2)}, {"params": jnp.ones(3)}])
    optimizer = of.optim.LBFGS([jnp.ones(2)], line_search_fn="armijo")
    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        optimizer.step(lambda params: jnp.sum(params[0]))
    with pytest.raises(ValueError, match="per-parameter options"):
        optimizer.add_param_group({"params": jnp.ones(3)})


@pytest.mark.parametrize("params", [[], {}, iter([]), {"a": None}])
def test_no_parameters(params):
    with pytest.raises(ValueError, match="empty parameter list"):
        of.optim.SGD(params)


def test_sparse_and_dense_gradients():
    dense = jnp.ones((3, 2))
    grad = jax.experimental.sparse.BCOO.fromdense(dense)
    for name, message in [
        ("Adam", "Adam does not support sparse gradients, please consider SparseAdam"),
        ("AdamW", "Adam does not support sparse gradients, please consider SparseAdam"),
        ("RMSprop", "RMSprop does not support sparse gradients"),
    ]:
        optimizer = getattr(of.optim, name)([dense])
        with pytest.raises(RuntimeError, match=message):
            optimizer.step(grads=[grad])
    with pytest.raises(RuntimeError, match="please consider Adam instead"):
        of.optim.SparseAdam([dense]).step(grads=[dense])
    optimizer = of.optim.SGD([dense], lr=0.5)
    optimizer.step(grads=[grad])
    np.testing.assert_array_equal(optimizer.params[0], 0.5 * dense)


@pytest.mark.parametrize("name", [*OPTIMIZERS, "LBFGS"])
def test_a_learning_rate_that_is_nan(name):
    with pytest.raises(ValueError, match="nan"):
        getattr(of.optim, name)([jnp.ones((2, 2))], lr=float("nan"))
